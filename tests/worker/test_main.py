"""The worker's command line: one sentence for a user's mistake, a clean end on SIGTERM, Pipes when Dagster asks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.schema import CHECKPOINTS, TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.training import checkpoints
from t2s_pipeline.worker.__main__ import TERMINATED, main

RUN = {"run": "think2seg-mini"}


def test_a_users_mistake_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["train", "--experiment", "think2seg-maxi", "--home", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: There is no experiment 'think2seg-maxi'. The most similar of ")
    assert main(["generate", "--system", "nobody", "--dataset", "d", "--split", "val", "--home", str(tmp_path)]) == 1
    assert "no system 'nobody'" in capsys.readouterr().err


def test_an_unknown_command_says_what_there_is(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as ended:
        main(["sing"])
    assert ended.value.code == 2
    assert "train" in capsys.readouterr().err


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T2S_HOME with a few scenes in the lake, and small models beside them."""
    pytest.importorskip("torch")
    from t2s_pipeline.datasets.ingest import ingest_split
    from t2s_pipeline.datasets.registry import dataset_at
    from t2s_pipeline.datasets.synthetic.layout import write_scenes
    from tests.small_models import save_prompter, save_segmenter

    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=4, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    save_prompter(home / "prompter")
    save_segmenter(home / "segmenter.safetensors")
    return home


def arguments(home: Path, *overrides: str, steps: int = 2) -> list[str]:
    """A tiny run: two prompts of two completions a step."""
    settings = {
        "prompter": home / "prompter",
        "segmenter": f"sam2-mini@{home / 'segmenter.safetensors'}",
        "grpo.steps": steps,
        "grpo.prompts_per_step": 2,
        "grpo.group_size": 2,
        "grpo.max_new_tokens": 4,
        "grpo.checkpoint_every": 1,
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    chosen = [word for override in [*words, *overrides] for word in ("--set", override)]
    return ["train", "--experiment", "think2seg-mini", "--home", str(home), "--device", "cpu", *chosen]


def worker(words: list[str], **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "t2s_pipeline.worker", *words],
        cwd=REPO,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.worker
def test_what_is_missing_is_one_sentence_too(home: Path):
    process = worker(arguments(home, "dataset=earthreason"))
    _, said = process.communicate()
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("error: Table samples has nothing for dataset=earthreason")
    assert "Traceback" not in said


@pytest.mark.worker
def test_sigterm_ends_a_run_cleanly_and_the_next_try_goes_on(home: Path):
    words = [*arguments(home, steps=2000), "--fingerprint", "f"]
    process = worker(words)
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "--2 is complete" in line:
            process.send_signal(signal.SIGTERM)
    assert process.wait() == TERMINATED, "".join(seen)
    assert "Traceback" not in "".join(seen)
    folder = home / "runs" / "think2seg-mini"
    reached = checkpoints.latest(folder).step
    assert reached >= 2
    assert not checkpoints.staging(folder).exists()
    rows = read_partition(home / "lake", TRAINING_LOG, RUN).to_pylist()
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) >= reached
    assert fingerprint_of(home / "lake", TRAINING_LOG, RUN) == ""
    # Now shorter, so that it ends: the fingerprint is the caller's word that nothing changed.
    process = worker([*arguments(home, steps=reached + 2), "--fingerprint", "f"])
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert f"steps {reached + 1}/{reached + 2}" in said
    assert checkpoints.latest(folder).step == reached + 2
    assert fingerprint_of(home / "lake", CHECKPOINTS, RUN) == "f"
    rows = read_partition(home / "lake", TRAINING_LOG, RUN).to_pylist()
    assert [row["step"] for row in rows] == list(range(1, reached + 3))


@pytest.mark.worker
def test_dagster_hears_the_steps_and_the_result(home: Path, tmp_path: Path):
    pipes = pytest.importorskip("dagster_pipes")
    messages = tmp_path / "messages"
    context = {
        "asset_keys": ["training_log"],
        "code_version_by_asset_key": {"training_log": None},
        "provenance_by_asset_key": {"training_log": None},
        "partition_key": "think2seg-mini",
        "partition_key_range": None,
        "partition_time_window": None,
        "run_id": "run",
        "job_name": None,
        "retry_number": 0,
        "extras": {},
    }
    process = worker(
        [*arguments(home), "--fingerprint", "g", "--fresh"],
        DAGSTER_PIPES_CONTEXT=pipes.encode_param({"data": context}),
        DAGSTER_PIPES_MESSAGES=pipes.encode_param({"path": str(messages)}),
    )
    _, said = process.communicate()
    assert process.returncode == 0, said
    sent = [json.loads(line) for line in messages.read_text().splitlines()]
    logged = [message["params"]["message"] for message in sent if message["method"] == "log"]
    assert any(line.startswith("think2seg-mini: steps 2/2") for line in logged)
    (result,) = [message["params"]["payload"] for message in sent if message["method"] == "report_custom_message"]
    assert result["result"]["steps"] == 2
    assert sent[-1]["method"] == "closed" and not sent[-1]["params"].get("exception")


ABORTED_AT_THE_END = """
import atexit, os, sys
from t2s_pipeline.worker.__main__ import end

class Library:
    def __del__(self):
        os.abort()  # as a library whose thread still runs when Python ends

library = Library()
atexit.register(print, "cleaned up")
end(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 1])
def test_a_rank_that_has_finished_is_not_aborted_by_a_library(code: int):
    command = [sys.executable, "-c", ABORTED_AT_THE_END, str(code)]
    rank = subprocess.run(command, capture_output=True, text=True, cwd=REPO, env={**os.environ, "RANK": "0"})
    assert (rank.returncode, rank.stdout) == (code, "cleaned up\n"), rank.stderr
