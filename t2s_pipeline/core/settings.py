"""Where files are, and which interpreter does the GPU work. Read once from the environment, then passed on."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from t2s_pipeline.core.errors import MissingWorkerError
from t2s_pipeline.core.lake_place import LAKE, LakePlace, lake_place
from t2s_pipeline.core.outside_files import home_expanded

REPO = Path(__file__).resolve().parents[2]


DEVICES = "T2S_DEVICES"
"""The environment variable with the number of devices that answer."""

RAY_ADDRESS = "T2S_RAY_ADDRESS"
"""The environment variable with the address of a Ray cluster."""

_ROOT_VARIABLE = re.compile(r"T2S_([A-Z0-9]+(?:_[A-Z0-9]+)*)_ROOT")


def root_variable(dataset: str) -> str:
    """The environment variable that names a benchmark's folder.

    >>> root_variable("rrsis-d")
    'T2S_RRSIS_D_ROOT'
    """
    return f"T2S_{dataset.upper().replace('-', '_')}_ROOT"


def _roots(environment: Mapping[str, str]) -> dict[str, Path]:
    """The folders that variables such as ``T2S_RRSIS_D_ROOT`` name, by dataset: the inverse of ``root_variable``."""
    variables = {name: _ROOT_VARIABLE.fullmatch(name) for name in environment}
    return {
        match[1].lower().replace("_", "-"): home_expanded(environment[name]).resolve()
        for name, match in variables.items()
        if match and environment[name]
    }


def _lake_address(home: Path) -> str:
    """The address that T2S_LAKE names.

    Raises:
        InputError: if it is none.
    """
    address = os.environ.get(LAKE, "")
    lake_place(home, address)
    return address


@dataclass(frozen=True)
class Settings:
    """``home`` holds everything that the pipeline writes. ``worker_python`` is the interpreter with torch."""

    home: Path
    worker_python: Path
    sql_dir: Path = field(default=REPO / "sql")
    roots: Mapping[str, Path] = field(default_factory=dict, hash=False)
    """Dataset → its folder, for every variable ``T2S_<NAME>_ROOT`` of the environment."""
    imagery_folder: Path | None = None
    """The folder of scenes that ``T2S_IMAGERY`` names; None for ``imagery`` in ``home``."""
    devices: str = ""
    """How many devices answer: ``all``, a number, or empty for the default (worker/computing.py). T2S_DEVICES."""
    ray_address: str = ""
    """The Ray cluster that answers; empty for this machine. T2S_RAY_ADDRESS."""
    lake_address: str = ""
    """Where the lake is on an object store; empty for the folder ``lake`` in ``home``. T2S_LAKE."""

    @classmethod
    def from_env(cls) -> "Settings":
        """The settings of the environment.

        They are T2S_HOME (default: ``data`` in the checkout), T2S_WORKER_PYTHON (``.venv-worker``), T2S_IMAGERY,
        T2S_DEVICES, T2S_RAY_ADDRESS and T2S_LAKE.

        Raises:
            InputError: if T2S_LAKE is no address of a lake.
        """
        home = home_expanded(os.environ.get("T2S_HOME") or REPO / "data").resolve()
        # Not resolved: the python of a virtual environment is a link, and its target is outside the environment.
        worker = home_expanded(os.environ.get("T2S_WORKER_PYTHON") or REPO / ".venv-worker" / "bin" / "python")
        packaged = Path(__file__).parents[1] / "sql"
        imagery = os.environ.get("T2S_IMAGERY")
        return cls(
            home,
            worker,
            packaged if packaged.is_dir() else REPO / "sql",
            _roots(os.environ),
            home_expanded(imagery).resolve() if imagery else None,
            os.environ.get(DEVICES, ""),
            os.environ.get(RAY_ADDRESS, ""),
            _lake_address(home),
        )

    @classmethod
    def of_worker(cls, home: Path) -> "Settings":
        """The settings of a worker's command, whose interpreter is this one.

        Args:
            home: T2S_HOME.
        """
        return cls(home, Path(sys.executable), lake_address=_lake_address(home))

    @property
    def lake(self) -> LakePlace:
        """The tables."""
        return lake_place(self.home, self.lake_address)

    @property
    def scenes(self) -> Path:
        """The embedded dataset on disk, in EarthReason's layout."""
        return self.home / "scenes" / "synthetic"

    @property
    def runs(self) -> Path:
        """Training runs: ``runs/<run>/checkpoint-<step>``."""
        return self.home / "runs"

    @property
    def watched(self) -> Path:
        """The watched folder: checkpoints in it are evaluated (``systems/watched_folder.py``)."""
        return self.home / "checkpoints"

    @property
    def imagery(self) -> Path:
        """The watched folder of scenes: standing questions about them are answered (``scenes/imagery_folder.py``)."""
        return self.imagery_folder or self.home / "imagery"

    @property
    def standing_questions(self) -> Path:
        """The table of standing questions, which people edit."""
        return self.home / "questions.csv"

    @property
    def report(self) -> Path:
        """The results page and its data."""
        return self.home / "report"

    @property
    def page(self) -> Path:
        """The results page."""
        return self.report / "index.html"

    @property
    def logs(self) -> Path:
        """The logs of runs."""
        return self.home / "logs"

    def require_worker(self) -> Path:
        """The worker interpreter.

        Raises:
            MissingWorkerError: if it does not exist.
        """
        if not self.worker_python.exists():
            raise MissingWorkerError(
                f"There is no worker interpreter at {self.worker_python}: run `make setup`, "
                "or set T2S_WORKER_PYTHON to a python that has torch, transformers, trl and sam2."
            )
        return self.worker_python
