"""Masks and texts of other people's systems: read, matched with the samples of a split, and scored like our own."""
