"""How rival methods turn a mask into boxes and points: what their rewards compare an answer with."""

METHODS = ("seg-zero", "vision-reasoner", "remote-reasoner")
"""The labellings' names, here because naming one should not take SciPy."""
SEARCH = "search"
"""Stands beside them in ``label_quality``: the best prompts that a search around the labels finds."""
