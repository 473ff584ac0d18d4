"""Dagster assets, their checks, partitions and resources: thin, each calls the library."""
