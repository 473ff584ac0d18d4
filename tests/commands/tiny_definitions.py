"""A code location with one job, for tests of the web server."""

import dagster as dg


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def harmless() -> None:
    """Can be launched without consequences."""
    nothing()


definitions = dg.Definitions(jobs=[harmless])
