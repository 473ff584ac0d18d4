"""Objects that people add from their own module, without a change to the package, appear everywhere.

Each test writes a module outside of the package, names it in ``T2S_EXTENSIONS``, and starts real processes.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from t2s_pipeline.core.registry import EXTENSIONS
from t2s_pipeline.core.settings import REPO

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator


@dataclass(frozen=True)
class Outside:
    """A T2S_HOME, and a folder on PYTHONPATH with modules that ``T2S_EXTENSIONS`` names."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def module(self, name: str, source: str) -> None:
        """Write a module. Processes that are started later import it."""
        (self.modules / f"{name}.py").write_text(source, "utf-8")

    @property
    def modules(self) -> Path:
        path = self.folder / "modules"
        path.mkdir(exist_ok=True)
        return path

    def run(self, *command: object, **variables: object) -> str:
        """Run ``python`` with these arguments and more environment variables; return what it prints."""
        environment = {
            **os.environ,
            "T2S_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(self.modules), str(REPO)]),
            EXTENSIONS: ",".join(sorted(path.stem for path in self.modules.glob("*.py"))),
            "COLUMNS": "200",
            **{name: str(value) for name, value in variables.items()},
        }
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=REPO, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def t2s(self, *arguments: object, **variables: object) -> str:
        """Run the command line in a process of its own; return what it prints."""
        return self.run("-m", "t2s_pipeline.cli", *arguments, **variables)

    def rows(self, query: str) -> list[dict[str, object]]:
        """The answer to a question about the tables."""
        rows: list[dict[str, object]] = json.loads(self.t2s("sql", query, "--json"))
        return rows


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path)


BENCHMARK = '''
"""A benchmark with one text file per split; a line is image, mask and question, separated by tabs."""

from t2s_pipeline.datasets.annotated_images import Index, IndexReader, Row
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles
from t2s_pipeline.datasets.question_choice import FIRST
from t2s_pipeline.datasets.registry import BENCHMARKS


class Lines(IndexReader):
    def splits(self, root):
        return [split for split in SPLITS if (root / f"{split}.txt").is_file()]

    def index(self, root, split):
        path = root / f"{split}.txt"
        rows = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            image, mask, question = line.split("\\t")
            rows.append(Row(f"{path.name}:{number}", image, (question,), mask=mask))
        return Index([path], rows, NamedFiles(root / "images"), NamedFiles(root / "masks"))


BENCHMARKS.register(
    Benchmark(
        name="tiny-lines",
        reader=Lines(),
        layout="train.txt, val.txt or test.txt, images/ and masks/",
        samples={"val": 3},
        published_rule=FIRST,
        is_referring=True,
    )
)
'''

OFFERED = """
import dagster as dg
from assets.resources import WorkerLauncher
from jobs.dataset_sensors import known_datasets
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.evaluation import final_splits
with dg.DagsterInstance.ephemeral() as instance:
    result = known_datasets(dg.build_sensor_context(instance=instance), worker=WorkerLauncher())
(request,) = result.dynamic_partitions_requests
print(*request.partition_keys)
print(*final_splits(Settings.from_env(), "earthreason"))
"""
"""Prints the partitions that the UI offers, and the splits on which a chosen checkpoint is scored."""


def test_a_benchmark(outside: Outside, tmp_path: Path) -> None:
    outside.module("my_benchmark", BENCHMARK)
    root = tmp_path / "download" / "TinyLines"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (8, 6), "green").save(root / "images" / "a.png")
    Image.new("L", (8, 6), 255).save(root / "masks" / "a.png")
    for split in ("val", "test"):
        (root / f"{split}.txt").write_text("a.png\ta.png\tWhere is grass?\nb.png\ta.png\tWhere is water?\n")

    outside.t2s("ingest", "tiny-lines", "--root", root.parent)
    assert outside.rows(
        """
        SELECT (SELECT count(*) FROM samples WHERE dataset = 'tiny-lines') AS samples,
               (SELECT count(*) FROM rejects WHERE dataset = 'tiny-lines') AS rejects,
               (SELECT list(DISTINCT rule) FROM selections WHERE published) AS rules
        """
    ) == [{"samples": 2, "rejects": 2, "rules": ["first"]}]

    diagnosis = json.loads(outside.t2s("doctor", "--json", T2S_TINY_LINES_ROOT=root))
    (state,) = [dataset for dataset in diagnosis["datasets"] if dataset["key"] == "tiny-lines"]
    assert (state["root"], state["origin"]) == (str(root), "T2S_TINY_LINES_ROOT")
    assert {"split": "val", "samples": 1, "rejects": 1, "published": 3} in state["splits"]

    partitions, final = outside.run("-c", OFFERED).splitlines()
    assert {"tiny-lines-train", "tiny-lines-val", "tiny-lines-test"} <= set(partitions.split())
    assert final == "('tiny-lines', 'test')"
