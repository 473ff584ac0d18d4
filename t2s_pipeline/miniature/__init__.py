"""The embedded models: the real architectures at miniature size; how they are built and trained; their weights."""
