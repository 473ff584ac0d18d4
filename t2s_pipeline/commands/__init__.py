"""The commands of `t2s`: one file per command, named as the command."""
