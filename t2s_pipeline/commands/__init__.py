"""The larger verbs of the command line `t2s`, one module each."""
