"""This process's connection to a Ray cluster, and the lease of what it starts there.

Ray is the extra ``ray``. Only modules whose name begins with ``ray_`` import it.
"""

import atexit
import os
import signal
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from t2s_pipeline.core.distribution.lease import LEASE, held_lease
from t2s_pipeline.core.distribution.remote_environment import passed_on
from t2s_pipeline.core.errors import T2SError

CONNECT_SECONDS = 10.0
"""After so long without an answer there is no cluster."""


@dataclass(frozen=True)
class Resources:
    """What a cluster has.

    Attributes:
        gpus: of all machines.
        machines: those with processors for us.
        processors: of all of these machines.
    """

    gpus: int
    machines: int
    processors: int


def resources() -> Resources:
    """What the cluster has that this process is connected to, used or not."""
    gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]  # Ray has none here
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    processors = [int(node["Resources"].get("CPU", 0)) for node in nodes]
    return Resources(gpus, sum(number > 0 for number in processors), sum(processors))


class Connection:
    """This process's connection to a cluster, the lease of its actors, and those that have nothing to do.

    Raises:
        T2SError: if there is no such cluster.
    """

    def __init__(self, address: str, home: Path) -> None:
        self.idle: list[Any] = []
        """Actors that are alive, as far as is known."""
        _require_answer(address)
        self._open = ExitStack()
        launchers = os.environ.get(LEASE)
        self.lease = Path(launchers) if launchers else self._open.enter_context(held_lease(home))
        # The actors of a job get its variables.
        environment = None if launchers else {"env_vars": passed_on()}
        # Ray would put a print of its own in the place of Python's.
        os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")
        # Ray would handle SIGTERM in its own way.
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address, log_to_driver=False, runtime_env=environment, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as fault:
            self._open.close()
            raise _unusable(address, fault) from fault
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
        self._open.callback(ray.shutdown)

    def close(self) -> None:
        """Disconnect. All actors end."""
        self._open.close()


def _require_answer(address: str) -> None:
    """Say at once if nobody answers: Ray itself tries for minutes.

    Raises:
        T2SError: if nobody answers at HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        except OSError as fault:
            raise _unusable(address, fault) from fault


def _unusable(address: str, fault: Exception) -> T2SError:
    return T2SError(f"The Ray cluster at {address} cannot be used: {' '.join(str(fault).split())}")


class _Connections:
    """The connection that this process keeps, at most one."""

    def __init__(self) -> None:
        self._key: tuple[str, Path] | None = None
        self._connection: Connection | None = None
        atexit.register(self.close)

    def get(self, address: str, home: Path) -> Connection:
        """The connection to a cluster: the one that is kept, or a new one."""
        if self._connection is None or self._key != (address, home):
            self.close()
            self._key, self._connection = (address, home), Connection(address, home)
        return self._connection

    def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


CONNECTIONS = _Connections()
"""That of this process."""
