"""Nodes, actors and drivers of a Ray cluster are killed at random moments of an evaluation.

usage: .venv-worker/bin/python -m tests.faults.ray_kills [--nodes N] [--actors N] [--drivers N]

An evaluation (two systems, two splits) is done once in one process. Then it is done on a cluster with three nodes,
again and again, and each time something is killed. After a node or an actor the same command goes on by itself. After
the driver it fails with a sentence, and is run again. In the end the files are the same, and no process is left.
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
        return RayKilling("nothing", 0.0, tuple(self._faults(home)))

    def kill(self, cluster: LocalCluster, victim: str, goes_on: bool) -> RayKilling:
        """Kill something in the middle of an evaluation.

        Args:
            cluster: with three nodes; afterwards too.
            victim: ``node``, ``actor`` or ``driver``.
            goes_on: the same command goes on by itself. If not, it fails with a sentence and is run again.
        """
        home = clusters.copy_of(self._before, self._folder / "home")
        process = clusters.start_evaluation(home, cluster.address)
        after = self._choice.uniform(0.05, 0.95) * self.seconds
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        self._end(cluster, victim, home)
        faults = []
        _, said = process.communicate(timeout=PATIENCE)
        if victim == "node":
            cluster.add()
        if process.returncode not in ((0,) if goes_on else (0, 1)) or "Traceback" in said:
            faults.append(f"exit code {process.returncode}: {said[-500:]}")
        if process.returncode:
            _succeed(clusters.start_evaluation(home, cluster.address))
        return RayKilling(victim, after, (*faults, *self._faults(home)))

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


def _succeed(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def main() -> None:
    """Kill, print each outcome, and exit with 1 if something is not as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    for victim, count in (("nodes", 10), ("actors", 10), ("drivers", 5)):
        parser.add_argument(f"--{victim}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, local_cluster(NODES) as cluster:
        kills = RayKills(Path(folder) / "kills", random.Random(options.seed))
        killings = [kills.undisturbed(cluster)]
        print(f"undisturbed: {kills.seconds:.0f} s, faults {killings[0].faults}", flush=True)
        for victim, count in (("actor", options.actors), ("node", options.nodes), ("driver", options.drivers)):
            for _ in range(count):
                killings.append(kills.kill(cluster, victim, goes_on=victim != "driver"))
                print(f"{victim} after {killings[-1].after:.0f} s: {killings[-1].faults or 'as promised'}", flush=True)
    faulty = sum(bool(killing.faults) for killing in killings)
    print(f"{len(killings) - 1} kills, {faulty} with a fault")
    raise SystemExit(faulty > 0)


if __name__ == "__main__":
    main()
