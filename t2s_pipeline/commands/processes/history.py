"""Opening Dagster's history, and creating it: the program that `t2s ui` runs for a new T2S_HOME.

Dagster creates its databases when they are opened first. If two processes do that at the same time, one of them fails.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dagster as dg

from t2s_pipeline.commands.instance import creating_history
from t2s_pipeline.core.settings import Settings


@contextmanager
def open_history(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance. Another process that opens it for the first time waits until this one has created it."""
    with ExitStack() as stack:
        with creating_history(settings):
            instance = stack.enter_context(dg.DagsterInstance.get())
        yield instance


def main() -> int:
    """Create what is missing. The caller has the lock."""
    with dg.DagsterInstance.get():
        return 0


if __name__ == "__main__":
    sys.exit(main())
