"""Benchmarks on disk → images, samples and rejects: one reader a layout, a registry, one way in (ingest)."""
