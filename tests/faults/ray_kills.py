"""Nodes, actors, drivers and heads of Ray clusters are killed at random moments of an evaluation.

usage: .venv-worker/bin/python -m tests.faults.ray_kills [--nodes N] [--actors N] [--drivers N] [--heads N]

An evaluation (two systems, two splits) is done once in one process. Then it is done on a cluster with three nodes,
again and again, and each time something is killed. After a node or an actor the same command goes on by itself. After
the driver or the head it fails with a sentence, and is run again. In the end the files are the same, and no process is
left.
"""

import argparse
import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults import clusters
from tests.faults.clusters import LocalCluster, local_cluster
from tests.processes import PATIENCE

NODES = 3


@dataclass(frozen=True)
class RayKilling:
    """What came of one kill.

    Attributes:
        victim: what was killed.
        after: seconds after the start of the evaluation.
        faults: what is not as promised, in words.
    """

    victim: str
    after: float
    faults: tuple[str, ...]


class RayKills:
    """Evaluations on a cluster that something of is killed.

    Args:
        folder: for the copies of T2S_HOME.
        choice: of the moments and of the victims.
    """

    def __init__(self, folder: Path, choice: random.Random) -> None:
        self._folder, self._choice = folder, choice
        self._before = folder / "before"
        self._before.mkdir(parents=True)
        clusters.write_scenes(self._before)
        alone = clusters.copy_of(self._before, folder / "alone")
        _succeed(clusters.start_evaluation(alone, ""))
        self.expected = clusters.contents(alone)
        self.seconds = 60.0

    def undisturbed(self, cluster: LocalCluster) -> RayKilling:
        """An evaluation without a kill: the moments of the others are within its time."""
        start = time.monotonic()
        home = clusters.copy_of(self._before, self._folder / "home")
        _succeed(clusters.start_evaluation(home, cluster.address))
        self.seconds = time.monotonic() - start
        return RayKilling("nothing", self.seconds, tuple(self._faults(home)))

    def kill(self, cluster: LocalCluster, victim: str, goes_on: bool) -> RayKilling:
        """Kill something in the middle of an evaluation.

        Args:
            cluster: with three nodes; afterwards too.
            victim: ``node``, ``actor`` or ``driver``.
            goes_on: the same command goes on by itself. If not, it fails with a sentence and is run again.
        """
        home, process, after = self._middle(cluster)
        self._end(cluster, victim, home)
        faults = _end_of(process, goes_on)
        if victim == "node":
            cluster.add()
        if process.returncode:
            _succeed(clusters.start_evaluation(home, cluster.address))
        return RayKilling(victim, after, (*faults, *self._faults(home)))

    def kill_head(self) -> RayKilling:
        """Kill the head of a cluster in the middle of an evaluation, and run it again on another cluster."""
        with local_cluster(NODES) as cluster:
            home, process, after = self._middle(cluster)
            cluster.kill_head()
            faults = _end_of(process, goes_on=False)
        with local_cluster(NODES) as cluster:
            _succeed(clusters.start_evaluation(home, cluster.address))
            return RayKilling("head", after, (*faults, *self._faults(home)))

    def _middle(self, cluster: LocalCluster) -> "tuple[Path, subprocess.Popen[str], float]":
        """Start an evaluation; T2S_HOME, the process and its seconds until now, which are some moment of it."""
        home = clusters.copy_of(self._before, self._folder / "home")
        process = clusters.start_evaluation(home, cluster.address)
        after = self._choice.uniform(0.05, 0.95) * self.seconds
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        return home, process, after

    def _end(self, cluster: LocalCluster, victim: str, home: Path) -> None:
        kinds: dict[str, Callable[[], list[psutil.Process]]] = {
            "actor": clusters.actors,
            "driver": lambda: clusters.drivers(home),
        }
        if victim == "node":
            cluster.kill(self._choice.randrange(len(cluster.nodes)))
        elif processes := kinds[victim]():
            with suppress(psutil.NoSuchProcess):
                self._choice.choice(processes).kill()

    def _faults(self, home: Path) -> list[str]:
        present = clusters.contents(home)
        different = [name for name in self.expected if name not in present or self.expected[name] != present[name]]
        return [*(f"{name} differs" for name in different), *clusters.left_over(home)]


def _end_of(process: "subprocess.Popen[str]", goes_on: bool) -> list[str]:
    """Wait for the end of an evaluation that something was killed of; what is not as promised."""
    _, said = process.communicate(timeout=PATIENCE)
    if process.returncode not in ((0,) if goes_on else (0, 1)) or "Traceback" in said:
        return [f"exit code {process.returncode}: {said[-500:]}"]
    return []


def _succeed(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def main() -> None:
    """Kill, print each outcome, and exit with 1 if something is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    for victim, count in (("nodes", 10), ("actors", 10), ("drivers", 5), ("heads", 2)):
        parser.add_argument(f"--{victim}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    killings: list[RayKilling] = []

    def note(killing: RayKilling) -> None:
        killings.append(killing)
        print(f"{killing.victim} after {killing.after:.0f} s: {killing.faults or 'as promised'}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        kills = RayKills(Path(folder) / "kills", random.Random(options.seed))
        with local_cluster(NODES) as cluster:
            note(kills.undisturbed(cluster))
            for victim, count in (("actor", options.actors), ("node", options.nodes), ("driver", options.drivers)):
                for _ in range(count):
                    note(kills.kill(cluster, victim, goes_on=victim != "driver"))
        for _ in range(options.heads):
            note(kills.kill_head())
    faulty = sum(bool(killing.faults) for killing in killings)
    print(f"{len(killings) - 1} kills, {faulty} with a fault")
    raise SystemExit(faulty > 0)


if __name__ == "__main__":
    main()
