"""Pools that share the pieces of a large job without models: the files of a split are read, its masks are labelled."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings

JOB_ADDRESSES = ("http://", "https://")
"""The address of a Ray cluster that takes jobs begins so. With another one, this machine is one of the cluster."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this machine is one of.

    Attributes:
        address: HOST:PORT of the cluster's head, or ``auto``.
        home: T2S_HOME, which all of its machines see.
    """

    address: str
    home: Path


def cluster_of(settings: Settings) -> Cluster | None:
    """The cluster that shares work with this process; None without one, or if it takes jobs only."""
    address = settings.ray_address
    return Cluster(address, settings.home) if address and not address.startswith(JOB_ADDRESSES) else None


@contextmanager
def ray_extra() -> Iterator[None]:
    """Around the import of a module that needs Ray, which is an extra.

    Raises:
        T2SError: if it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as fault:
        raise T2SError(
            f"{fault}: a Ray cluster needs the extra `ray` in both environments. `make setup` installs it."
        ) from fault


@dataclass(frozen=True)
class TaskPool:
    """An executor, and how many calls it runs at the same time."""

    executor: Executor
    size: int

    def in_order(self, call: Callable[[Argument], Result], arguments: Iterable[Argument]) -> Iterator[Result]:
        """As ``Executor.map``, but only a few results wait at a time, however slow the consumer is."""
        waiting: deque[Future[Result]] = deque()
        for argument in arguments:
            waiting.append(self.executor.submit(call, argument))
            if len(waiting) > 2 * self.size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def large_pool(processes: int, cluster: Cluster | None = None) -> Iterator[TaskPool]:
    """So many processes of this machine, or every processor of a cluster.

    Raises:
        T2SError: if the system ends a process, or the cluster does not answer, or Ray is not installed.
    """
    if cluster is None:
        with process_pool(processes) as executor:
            yield TaskPool(executor, processes)
        return
    with ray_extra():
        from t2s_pipeline.core.distribution.ray_pool import ray_pool

    with ray_pool(cluster) as pool:
        yield pool
