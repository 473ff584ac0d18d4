"""Any process of any step is killed at a random moment. Nothing is lost, no process stays, and a rerun does the rest.

Each step (tests/faults/stages.py) is done once without being disturbed. Then it is done again in a copy of the folder
as it was before, one of its processes is killed, and the result of a rerun is compared with the undisturbed one.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.schema import STEP_TIMES, TABLES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.lake.verification import verify
from tests.faults.stages import STAGES
from tests.processes import PATIENCE

OF_A_RUN = {
    "created_at",
    "seconds",
    "generate_seconds",
    "reward_seconds",
    "update_seconds",
    "tokens_per_second",
    "peak_mb",
}
"""Columns that tell how a run went. They differ between two undisturbed runs."""

NOT_COMPARED = ("logs/", "tmp/locks/", "lake/step_times/")
"""Files that stay, and whose names depend on what was run. A step that was killed at its end has no record."""

Tables = dict[tuple[str, str], pa.Table]


@dataclass(frozen=True)
class Undisturbed:
    """A step that nobody disturbed.

    Attributes:
        before: T2S_HOME as it was.
        after: what the step left there.
        seconds: how long it took.
    """

    before: Path
    after: Path
    seconds: float


@dataclass(frozen=True)
class Killing:
    """What came of one kill.

    Attributes:
        step: the step.
        victim: the program that was killed.
        faults: what is not as promised, in words.
    """

    step: str
    victim: str
    faults: tuple[str, ...]


def undisturbed(folder: Path, steps: Sequence[str]) -> dict[str, Undisturbed]:
    """Do the steps once, and keep a copy of T2S_HOME before and after each."""
    homes = {}
    home = folder / "home"
    home.mkdir(parents=True)
    for name in steps:
        before = folder / f"before-{name}"
        shutil.copytree(home, before)
        start = time.monotonic()
        run_stage(name, home)
        seconds = time.monotonic() - start
        after = folder / f"after-{name}"
        shutil.copytree(home, after)
        homes[name] = Undisturbed(before, after, seconds)
    return homes


def kill_once(name: str, plan: Undisturbed, home: Path, choice: random.Random) -> Killing | None:
    """Kill one process of a step at a random moment; None if the step ended before that."""
    shutil.copytree(plan.before, home)
    process = start_stage(name, home)
    try:
        process.communicate(timeout=choice.uniform(0, plan.seconds))
        return None
    except subprocess.TimeoutExpired:
        pass
    victim, program = _kill_one(process, home, choice)
    if not victim:
        process.communicate(timeout=PATIENCE)
        return None
    said, _ = process.communicate(timeout=PATIENCE)
    faults = [f"process {each.pid} stayed" for each in _remaining(home)]
    # A step that succeeds may show a traceback of Python's own: its tracker of semaphores, started again, knows none.
    if process.returncode not in (0, 1, -signal.SIGKILL) or (process.returncode == 1 and b"Traceback" in said):
        faults.append(f"exit code {process.returncode}: {said.decode()[-300:]}")
    faults += _lost(plan.before, home)
    again = start_stage(name, home)
    said, _ = again.communicate(timeout=PATIENCE)
    if again.returncode != 0:
        faults.append(f"the rerun failed: {said.decode()[-300:]}")
    faults += differences(plan.after, home)
    return Killing(name, program, tuple(faults))


def random_kills(folder: Path, count: int, steps: Sequence[str] = tuple(STAGES), seed: int = 0) -> list[Killing]:
    """Kill ``count`` times, in each step as often as in any other.

    Args:
        folder: where everything happens.
        count: how many processes are killed.
        steps: names of ``STAGES``, from the first on.
        seed: of the moments and the processes.
    """
    choice = random.Random(seed)
    plans = undisturbed(folder / "undisturbed", steps)
    done: list[Killing] = []
    names = list(plans)
    attempt = 0
    while len(done) < count:
        name = names[len(done) % len(names)]
        home = folder / f"trial-{attempt}"
        attempt += 1
        killing = kill_once(name, plans[name], home, choice)
        shutil.rmtree(home)
        if killing is not None:
            done.append(killing)
            outcome = "; ".join(killing.faults) or "as promised"
            print(f"{len(done):3} {killing.step:10} {killing.victim:40} {outcome}", flush=True)
    return done


def start_stage(name: str, home: Path, variables: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start a step of ``STAGES`` in a T2S_HOME, in a process of its own, with additional environment variables."""
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    places = {"T2S_HOME": str(home), "TMPDIR": str(temporary), "T2S_CATALOG": "off"}
    environment = {**os.environ, **places, **(variables or {})}
    command = [sys.executable, "-m", "tests.faults.stages", name]
    return subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def run_stage(name: str, home: Path, variables: Mapping[str, str] | None = None) -> None:
    """Do a step to its end.

    Raises:
        RuntimeError: if it fails.
    """
    process = start_stage(name, home, variables)
    said, _ = process.communicate(timeout=PATIENCE)
    if process.returncode != 0:
        raise RuntimeError(f"{name} failed without being disturbed: {said.decode()[-2000:]}")


def _kill_one(process: subprocess.Popen, home: Path, choice: random.Random) -> tuple[int, str]:
    """Kill one of the processes that work in ``home``; its number, or 0 if none is left, and its program."""
    processes = sorted(_processes(home), key=lambda each: each.pid)
    if not processes:
        return 0, ""
    victim = choice.choice(processes)
    try:
        words = victim.cmdline()
        victim.kill()
    except psutil.NoSuchProcess:
        return 0, ""
    if victim.pid == process.pid:
        return victim.pid, "the command"
    return victim.pid, " ".join(word for word in words[1:] if not word.startswith(("/", "{")))[:40]


def _processes(home: Path) -> Iterator[psutil.Process]:
    """The processes whose T2S_HOME is this folder."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("T2S_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def _remaining(home: Path) -> list[psutil.Process]:
    """The processes that do not end by themselves; they are killed."""
    _, alive = psutil.wait_procs(list(_processes(home)), timeout=PATIENCE)
    for process in alive:
        process.kill()
    return alive


def _tables(home: Path) -> Tables:
    rows = {}
    for table in TABLES.values():
        # What steps took differs from run to run.
        for partition in list_partitions(home / "lake", table) if table is not STEP_TIMES else ():
            read = read_partition(home / "lake", table, partition)
            kept = [column for column in read.column_names if column not in OF_A_RUN]
            rows[table.name, str(partition)] = read.select(kept)
    return rows


def _lost(before: Path, home: Path) -> list[str]:
    """What is not readable after the kill, and which rows that were there before are not there now."""
    state = verify(home / "lake")
    faults = [f"damaged: {part.path.relative_to(home)} ({part.reason})" for part in state.damaged]
    if not faults:
        now = _tables(home)
        faults += [f"rows of {key} changed" for key, rows in _tables(before).items() if not rows.equals(now.get(key))]
    return faults


def differences(expected: Path, home: Path) -> list[str]:
    """How the rerun's result differs from that of the undisturbed step: in rows, or in files."""
    faults = []
    wanted, now = _tables(expected), _tables(home)
    faults += [f"{key} differs" for key in sorted(wanted | now) if not _equal(wanted.get(key), now.get(key))]
    names, there = _names(expected), _names(home)
    faults += [f"{name} was left" for name in sorted(there - names)]
    faults += [f"{name} is missing" for name in sorted(names - there)]
    return faults


def _equal(left: pa.Table | None, right: pa.Table | None) -> bool:
    return left is not None and right is not None and left.equals(right)


def _names(home: Path) -> set[str]:
    names = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith(NOT_COMPARED)}


def summary(killings: list[Killing]) -> str:
    """The row of the table of counts."""
    steps = Counter(killing.step for killing in killings)
    bad = sum(bool(killing.faults) for killing in killings)
    stayed = sum("stayed" in fault for killing in killings for fault in killing.faults)
    return (
        f"| SIGKILL of any process at a random moment, in each of {len(steps)} steps | {len(killings):,} | "
        f"not as promised: {bad:,}; processes left: {stayed:,} |"
    )


if __name__ == "__main__":
    # FOLDER COUNT [SEED]: several series with different seeds can run side by side.
    print(summary(random_kills(Path(sys.argv[1]), int(sys.argv[2]), seed=int((*sys.argv[3:], "0")[0]))))
