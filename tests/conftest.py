"""What holds for every test, in both environments."""

import importlib.util
import os
import re
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.outside import Outside

# No deadline: a machine that also trains is slow now and then, and that is not a fault of the code.
settings.register_profile("t2s", deadline=None, max_examples=50)
settings.load_profile("t2s")

# Commands would record what they did in a process that outlives the test. commands/test_catalog.py tests that they do.
os.environ.setdefault("T2S_CATALOG", "off")

# The tests share the cores. worker/test_side_by_side.py and jobs/test_whole_way.py test several workers at once.
os.environ.setdefault("T2S_SIDE_BY_SIDE", "1")

# A suite started in the background of a script ignores interrupts, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

DAGSTER_WARNINGS = (
    "error::dagster_shared.utils.warnings.BetaWarning",
    "error::dagster_shared.utils.warnings.PreviewWarning",
    "error::dagster_shared.utils.warnings.SupersessionWarning",
    # Dagster's wording of its own deprecations, so that other packages' stay warnings.
    "error:.*is deprecated and will be removed in:DeprecationWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    """Only stable parts of Dagster may be used. Not in pyproject.toml: the worker environment has no Dagster."""
    if importlib.util.find_spec("dagster_shared") is not None:
        for line in DAGSTER_WARNINGS:
            config.addinivalue_line("filterwarnings", line)


OF_THE_WORKER = re.compile(
    r"mark\.worker\b|find_spec\(\"dagster\"\)"
    r"|(importorskip|find_spec)\(\"(torch|trl|xgrammar|datasets|huggingface_hub|deepspeed)\""
)
"""What a test file says that has something to test in the worker environment."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The worker environment leaves out files without anything of its own: the orchestrator's has run them.

    Both environments have the same version of every package that such a file uses (tests/tooling/test_constraints.py).
    """
    in_worker = importlib.util.find_spec("dagster") is None
    if in_worker and collection_path.name.startswith("test_") and collection_path.suffix == ".py":
        return OF_THE_WORKER.search(collection_path.read_text("utf-8")) is None or None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """A T2S_HOME and a folder for modules outside of the package."""
    return Outside(tmp_path)
