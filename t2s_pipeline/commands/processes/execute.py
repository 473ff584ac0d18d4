"""Run a Dagster job in this process: the terminal shows our messages, a log file receives all other output."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TextIO

import dagster as dg
from sqlalchemy.exc import OperationalError

from assets.abandoned_runs import close_abandoned
from assets.partitions import runs
from assets.terminal import TERMINAL
from t2s_pipeline.commands.processes.history import open_history
from t2s_pipeline.commands.processes.pool_slot import wait_visibly
from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.definitions import defs
from t2s_pipeline.worker.launcher import WARM_WORKERS
from t2s_pipeline.worker.process_ids import tags_of_this_process


def execute(
    job: str,
    config: Mapping[str, Any],
    show: Callable[[TextIO], None],
    training: str | None = None,
) -> int:
    """Run a job with Dagster's history and return the exit code of the process: 0 or 1.

    A fault that a user can repair is printed on the terminal as one message.

    Args:
        job: the job's name in `t2s_pipeline/definitions.py`.
        config: the job's run configuration.
        show: prints the results on the terminal when the job has succeeded.
        training: the name of the run to train, which is the job's partition; None for a job without partitions.
    """
    settings = Settings.from_env()
    log = settings.logs / f"{job}-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    with disk_room(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        terminal = redirect_output(log)

    def report_failure(message: str) -> int:
        print(f"error: {message}\n(the whole output of this run: {log})", file=terminal)
        return 1

    def report_crash(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, fault, trace)
        report_failure(f"{kind.__name__}: {fault}")

    sys.excepthook = report_crash
    treat_signals_as_interrupts()
    try:
        with open_history(settings) as instance:
            close_abandoned(instance)
            wait_visibly(instance, lambda message: print(message, file=terminal))
            if training is not None:
                instance.add_dynamic_partitions(str(runs.name), [training])
            defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_config={**config, "loggers": {"console": {}, "terminal": {}}},
                tags=tags_of_this_process(),
                partition_key=training,
            )
    except T2SError as error:
        return report_failure(str(error))
    except OperationalError as error:  # from the database of Dagster's history, which is on the same disk
        if "disk is full" not in str(error):
            raise
        return report_failure(f"The disk is full: free space below {settings.home}. Finished work is kept.")
    # Dagster raises an exception of its own when a step is interrupted.
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        return report_failure("Stopped. Finished work is kept: run the same command again to continue.")
    show(terminal)
    return 0


def leave(code: int) -> NoReturn:
    """End this process now. Threads of Dagster would keep it for seconds, although everything is recorded."""
    WARM_WORKERS.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def redirect_output(log: Path) -> TextIO:
    """From now on, send the output of libraries and workers to a file; return the terminal for our own messages.

    File descriptors are exchanged, not ``sys.stdout``, because subprocesses and Dagster's compute logs use them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal = os.fdopen(os.dup(1), "w", buffering=1)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ[TERMINAL] = str(terminal.fileno())
    return terminal


def treat_signals_as_interrupts() -> None:
    """Make SIGTERM and SIGHUP end the run as Ctrl-C does: the worker is stopped and the run is recorded as failed."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
