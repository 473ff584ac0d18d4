"""The embedded default: the real architectures at miniature size, how they are built, trained and shipped."""
