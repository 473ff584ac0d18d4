"""A pool of all processors of a Ray cluster.

https://docs.ray.io/en/latest/ray-core/tasks.html describes tasks. One that is lost with its machine is done again on
another: the calls compute a result from their arguments and change nothing.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from t2s_pipeline.core.distribution.pools import Cluster, TaskPool
from t2s_pipeline.core.distribution.ray_connection import CONNECTIONS, resources
from t2s_pipeline.core.errors import T2SError

RETRIES = 3
"""So often the same call may be lost with its process."""

Result = TypeVar("Result")


@contextmanager
def ray_pool(cluster: Cluster) -> Iterator[TaskPool]:
    """The processors of a cluster. The connection ends with the block: Ray ends a connected process with the cluster.

    Raises:
        T2SError: if the cluster does not answer, or loses the same call again and again.
    """
    CONNECTIONS.get(cluster.address, cluster.home)
    try:
        yield TaskPool(_RayExecutor(), max(1, resources().processors))
    except RayTaskError as fault:
        raise fault.cause from fault
    except RayError as fault:
        raise T2SError(f"The Ray cluster at {cluster.address} lost work: {' '.join(str(fault).split())}") from fault
    finally:
        CONNECTIONS.close()


class _RayExecutor(Executor):
    def __init__(self) -> None:
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": RETRIES, "scheduling_strategy": "SPREAD"}
        self._task: Any = ray.remote(**options)(_call)

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Let the cluster call the function."""
        future: Future[Result] = self._task.remote(fn, *args, **kwargs).future()
        return future


def _call(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    return function(*args, **kwargs)
