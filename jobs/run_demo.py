"""Runs the job `demo` in this process, for `t2s demo`: sentences on the terminal, everything else in a log file.

Not a definition of anything: Dagster loads the job from jobs/demo.py.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import dagster as dg
from rich.console import Console
from sqlalchemy.exc import OperationalError

from jobs.abandoned import close_abandoned, mine
from jobs.plain_logger import TERMINAL
from t2s_pipeline.definitions import defs
from t2s_pipeline.errors import T2SError
from t2s_pipeline.leaderboard import as_table
from t2s_pipeline.settings import Settings


def main(config: dict) -> int:
    settings = Settings.from_env()
    log = settings.logs / f"demo-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with dg.DagsterInstance.get() as instance:
            close_abandoned(instance)
            with quiet(log):
                defs.resolve_job_def("demo").execute_in_process(
                    instance=instance, run_config={"ops": {"files": {"config": config}}}, tags=mine()
                )
    except T2SError as error:
        return failed(str(error), log)
    except OperationalError as error:  # Dagster's own history, on the same disk
        if "disk is full" not in str(error):
            raise
        return failed(f"The disk is full: free some space below {settings.home}; what was finished is kept.", log)
    except KeyboardInterrupt:
        return failed("Stopped. What was finished is kept: the same command goes on from there.", log)
    Console().print(as_table(settings))
    print(f"Results page:   {settings.report / 'index.html'}")
    print("Web UI:         make ui   (then http://127.0.0.1:3000)")
    print('Ask the tables: .venv/bin/t2s sql "select * from leaderboard"')
    return 0


def failed(sentence: str, log: Path) -> int:
    print(f"error: {sentence}\n(everything that was said: {log})", file=sys.stderr)
    return 1


@contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Send what libraries and workers print to a file; only the steps' own sentences reach the terminal.

    File descriptors are exchanged, not ``sys.stdout``, because subprocesses and Dagster's compute logs use them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    os.environ[TERMINAL] = str(kept[1])
    try:
        with log.open("ab") as file:
            for descriptor in kept:
                os.dup2(file.fileno(), descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in kept.items():
            os.dup2(original, descriptor)
        del os.environ[TERMINAL]
        for original in kept.values():
            os.close(original)


def stop_politely() -> None:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does: the worker is stopped, the run is shown as failed."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


if __name__ == "__main__":
    stop_politely()
    sys.exit(main(json.loads(sys.argv[1])))
