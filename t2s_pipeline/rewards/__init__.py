"""What a completion earns: plain functions of completions and columns, and the recipes that weigh them."""
