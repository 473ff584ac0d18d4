"""Benchmarks on disk → images, samples and rejects: one reader per layout, one object per benchmark, ingest."""
