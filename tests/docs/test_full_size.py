"""docs/full_size.md from its first command to its last, with tiny models of the same classes and real images."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("dagster")

from t2s_pipeline.core.settings import REPO, Settings
from tests import full_size_answers

PAGE = REPO / "docs" / "full_size.md"
WORKER = Settings.from_env().worker_python
pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.slow,
    pytest.mark.skipif(not WORKER.exists(), reason=f"no worker environment at {WORKER}: make setup"),
]

TRAINING = (
    *("grpo.steps=2", "grpo.prompts_per_step=2", "grpo.group_size=2", "grpo.completions_per_pass=0"),
    *(
        "grpo.max_new_tokens=4",
        "grpo.checkpoint_every=1",
        "grpo.precision=float32",
        "grpo.gradient_checkpointing=false",
    ),
    *("generation.max_new_tokens=4", "generation.batch_size=2", "watch.sample_every=0"),
)
ANSWERING = ("generation.max_new_tokens=4", "generation.batch_size=2")


def _settings(*settings: str) -> tuple[str, ...]:
    return tuple(f"--set {setting}" for setting in settings)


CHANGES = {
    "t2s models add sam2.1": ("--network sam2.1-tiny",),
    "t2s train think2seg-rs-3b": _settings(*TRAINING, "compute.processes=2", "compute.zero=2", "compute.offload=false"),
    "t2s train": _settings(*TRAINING, "compute.processes=1", "compute.zero=0", "compute.offload=false"),
    "t2s evaluate zero-shot": _settings(*ANSWERING),
}
"""Start of a command → the options that make it small. The first one that fits applies."""
KILLED = "t2s train remote-reasoner"
"""The training that is killed after its first step, and then started again."""


@dataclass(frozen=True)
class Entry:
    """A command of the page and what it prints, with ``…`` for text that differs from run to run."""

    command: str
    output: str


def entries() -> Iterator[Entry]:
    """Every command of the page in order."""
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield Entry(command, output.strip())


@dataclass(frozen=True)
class Lab:
    """The folders that the page speaks of."""

    folder: Path

    def local(self, text: str) -> str:
        """A command of the page for this machine."""
        places = {"/models": "models", "/benchmarks": "benchmarks", "/answers": "answers", "/data/t2s": "home"}
        for place, name in places.items():
            text = re.sub(rf"(?<![\w.]){place}(?=[/\s]|$)", str(self.folder / name), text)
        return text

    def page(self, text: str) -> str:
        """What a command printed here, as the page would show it."""
        for name, place in (("models", "/models"), ("benchmarks", "/benchmarks"), ("answers", "/answers")):
            text = text.replace(str(self.folder / name), place)
        return text.replace(str(self.folder / "home"), "/data/t2s").replace(str(self.folder), "/lab")

    def start(self, command: str) -> "subprocess.Popen[str]":
        """The command in a shell of its own."""
        environment = {
            **os.environ,
            "T2S_HOME": str(self.folder / "home"),
            "PATH": f"{REPO / '.venv' / 'bin'}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            # The images are encoded once for all systems.
            "T2S_EMBEDDING_CACHE_GB": "2",
            "COLUMNS": "100",
        }
        return subprocess.Popen(
            ["bash", "-euc", self.local(command)],
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    subprocess.run([str(WORKER), "-m", "tests.tiny_lab", str(folder)], cwd=REPO, check=True)
    (folder / "benchmarks").mkdir()
    (folder / "EarthReason").rename(folder / "benchmarks" / "EarthReason")
    (folder / "home").mkdir()
    for size in ("small", "large"):
        shutil.copy(folder / "models" / "sam2.1_hiera_tiny.pt", folder / "models" / f"sam2.1_hiera_{size}.pt")
    shutil.copytree(folder / "models" / "Qwen2.5-VL-3B-Instruct", folder / "models" / "Qwen2.5-VL-7B-Instruct")
    full_size_answers.write(folder / "answers", folder / "benchmarks" / "EarthReason" / "test")
    return Lab(folder)


def small(command: str) -> str:
    """The command with the options that make it small."""
    return " ".join((command, *next((options for start, options in CHANGES.items() if command.startswith(start)), ())))


def kill_after_the_first_step(lab: Lab, command: str) -> None:
    """SIGKILL the training and everything that belongs to it when its first step is saved."""
    process = lab.start(small(command))
    assert process.stdout is not None
    for line in process.stdout:
        if "is complete at step 1" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    process.wait()


def pattern(output: str) -> str:
    """The regular expression of a page's output: ``…`` is any text, and white space counts once."""
    parts = re.split(r"\s*…\s*", output)
    return ".*?".join(re.escape(re.sub(r"\s+", " ", part)).replace(r"\ ", " ") for part in parts)


def test_the_page_is_what_happens(lab: Lab) -> None:
    differences = []
    for entry in entries():
        if entry.command.startswith(KILLED):
            kill_after_the_first_step(lab, entry.command)
        process = lab.start(small(entry.command))
        printed, _ = process.communicate()
        printed = lab.page(printed)
        print(f"$ {entry.command}\n{printed}")
        same = re.fullmatch(pattern(entry.output), re.sub(r"\s+", " ", printed).strip(), flags=re.S)
        if process.returncode != 0 or not same:
            differences.append(f"$ {entry.command}\n{printed}\nexit code {process.returncode}")
    assert not differences, "\n\n".join(differences)
    _everything_is_there(lab)


def _everything_is_there(lab: Lab) -> None:
    home = lab.folder / "home"
    assert (home / "report" / "index.html").stat().st_size > 10_000
    log = (home / "runs" / "remote-reasoner" / "history.jsonl").read_text().splitlines()
    assert len(log) == 2, "the killed run went on"
    assert shutil.which("t2s", path=str(REPO / ".venv" / "bin"))
