"""One reader per benchmark, a registry of them, and the embedded dataset."""
