"""Several processes with models write the partitions that a single one writes, byte for byte."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = [pytest.mark.worker, pytest.mark.slow]

from functools import partial  # noqa: E402

import torch  # noqa: E402

from t2s_pipeline.core.distribution.crew import ThisProcess  # noqa: E402
from t2s_pipeline.core.distribution.processes import Processes, WorkerDevice  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.evaluation import generate, label_quality  # noqa: E402
from t2s_pipeline.lake import schema  # noqa: E402
from t2s_pipeline.lake.folders import partition_file  # noqa: E402
from t2s_pipeline.lake.store import read_partition, write_partition  # noqa: E402
from t2s_pipeline.methods.recipe import Recipe  # noqa: E402
from t2s_pipeline.methods.system import System  # noqa: E402
from t2s_pipeline.prompters.base import GenerationSettings  # noqa: E402
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH  # noqa: E402
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS  # noqa: E402
from t2s_pipeline.pseudo_labels.table import label_samples  # noqa: E402
from t2s_pipeline.worker.computing import prepare_libraries  # noqa: E402

PLACE = {"dataset": "real", "split": "test"}


@pytest.fixture
def system(prompter_folder, segmenter_file) -> System:
    settings = GenerationSettings(8, batch_size=1)
    return System("mini", str(prompter_folder), f"sam2-mini@{segmenter_file}", Recipe(), settings, "synthetic")


@pytest.fixture
def windows_of_one(monkeypatch) -> None:
    """As many windows as there are images."""
    monkeypatch.setattr(generate, "BATCHES_PER_WINDOW", 1)
    monkeypatch.setattr(label_quality, "SAMPLES_PER_WINDOW", 1)


def label(lake: Path) -> None:
    samples = read_partition(lake, schema.SAMPLES, PLACE)
    for method in LABELLINGS:
        rows = label_samples(samples, LABELLINGS[method])
        write_partition(lake, schema.PSEUDO_LABELS, {"method": method, **PLACE}, rows)


def test_what_processes_write_together_is_what_one_writes(home, system, windows_of_one):
    lake = home / "lake"
    label(lake)
    files: list[list[bytes]] = []
    texts = []
    threads = torch.get_num_threads()
    for team in (ThisProcess("cpu"), Processes((WorkerDevice("cpu"),) * 2, partial(prepare_libraries, threads), 600.0)):
        generate.generate_completions(home, system, **PLACE, fingerprint="f", progress=NoProgress(), team=team)
        answers = read_partition(lake, schema.COMPLETIONS, {"system": "mini", **PLACE})
        # The seconds that an answer took are measured. Everything else is the same.
        texts.append(answers.drop_columns("seconds"))
        label_quality.judge_labels(home, system.segmenter, **PLACE, fingerprint="f", progress=NoProgress(), team=team)
        kinds = ({"method": method, "segmenter": system.segmenter_name, **PLACE} for method in (*LABELLINGS, SEARCH))
        files.append([partition_file(lake, schema.LABEL_QUALITY, kind).read_bytes() for kind in kinds])
    assert texts[0].equals(texts[1]) and len(texts[0]) == 3
    assert files[0] == files[1] and len(files[0]) == 1 + len(LABELLINGS)
