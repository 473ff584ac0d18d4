"""What a completion earns: plain functions of completions and columns, one for each part of a reward."""
