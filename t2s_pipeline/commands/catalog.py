"""What is done from the terminal, recorded in Dagster's catalog.

Dagster takes seconds to import, so a command does not wait for it. It writes what it did into a file below
``T2S_HOME/tmp/catalog`` and starts a process that records the files and removes them (``processes/catalog.py``). If
that process is stopped, the next command or the web UI starts another one.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from t2s_pipeline.commands.instance import prepare
from t2s_pipeline.core.atomic_files import atomic_file, disk_room
from t2s_pipeline.core.settings import REPO, Settings

if TYPE_CHECKING:
    from t2s_pipeline.core.progress import Progress
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.steps.step import StepReport

RECORDING = "T2S_CATALOG"
"""The environment variable that turns the recording off if it is ``off``."""


@contextmanager
def recording_runner(settings: Settings, fresh: bool = False, progress: "Progress | None" = None) -> Iterator["Runner"]:
    """A runner for a command. What its steps did is recorded in the catalog, also if the block fails.

    Args:
        settings: where everything is.
        fresh: redo finished work.
        progress: shows how far a long step is.
    """
    from t2s_pipeline.core.progress import NoProgress
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.worker.launcher import plain_launch

    reports: list[StepReport] = []
    try:
        yield Runner(
            settings, plain_launch(settings), fresh=fresh, progress=progress or NoProgress(), record=reports.extend
        )
    finally:
        if reports:
            _hand_over(settings, reports)


def waiting_files(settings: Settings) -> list[Path]:
    """The files with work that is not recorded yet, oldest first."""
    return sorted((settings.home / "tmp" / "catalog").glob("*.json"))


def start_recording(settings: Settings) -> None:
    """Record what is waiting, in a process of its own that outlives this one; nothing if nothing is waiting."""
    if not waiting_files(settings) or os.environ.get(RECORDING) == "off":
        return
    log = settings.logs / "catalog.log"
    with disk_room(log):
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "t2s_pipeline.commands.processes.catalog"],
            cwd=REPO,
            env=prepare(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _hand_over(settings: Settings, reports: "list[StepReport]") -> None:
    """Write the reports into a file and start the process that records them."""
    if os.environ.get(RECORDING) == "off":
        return
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}.json"
    with atomic_file(settings.home / "tmp" / "catalog" / name) as temporary:
        temporary.write_text(json.dumps([asdict(report) for report in reports]))
    start_recording(settings)
