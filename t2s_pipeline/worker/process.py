"""One worker process and what its launcher does with it: read its output, listen to its heartbeats, stop it."""

import os
import selectors
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.interrupts import interrupts_held
from t2s_pipeline.core.lake_place import LAKE
from t2s_pipeline.core.settings import DEVICES, RAY_ADDRESS, REPO, Settings
from t2s_pipeline.worker.channel import Accepted, Receiver, Reply, Request, send
from t2s_pipeline.worker.failures import ERROR_PREFIX, WorkerError, failure, silent
from t2s_pipeline.worker.pulse import Pulse
from t2s_pipeline.worker.stopping import stop
from t2s_pipeline.worker.tether import TETHERED

LAST_LINES = 60
"""Lines of the worker's output that are kept for a message. torchrun prints its own table after a rank's last line."""

STDOUT = 1
"""The file descriptor of standard output."""

LOOK_SECONDS = 1.0
"""Seconds between two looks at the heartbeats."""


def worker_command(settings: Settings, arguments: Sequence[str]) -> list[str]:
    """The command line of the worker. Its output is not buffered, so that its progress is visible at once."""
    return [str(settings.require_worker()), "-u", "-m", "t2s_pipeline.worker", *arguments]


def worker_environment(settings: Settings) -> dict[str, str]:
    """The environment of the worker: ours, and where the package and T2S_HOME are.

    The worker writes bytecode, also where PYTHONDONTWRITEBYTECODE is set, as in many containers: without it each start
    compiles some thousand modules again, and takes twice as long.
    """
    paths = [str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "T2S_HOME": str(settings.home), "PYTHONPATH": os.pathsep.join(paths), TETHERED: "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment.update({DEVICES: settings.devices, RAY_ADDRESS: settings.ray_address, LAKE: settings.lake_address})
    return environment


class EndedWhileIdle(T2SError):
    """The process ended before it took the request, so the request can go to another process."""


def to_stderr(line: str) -> None:
    """Print a line on standard error."""
    print(line, file=sys.stderr, flush=True)


class _Output:
    """Standard error of one command: its lines go to ``say``, and the last ones are kept."""

    def __init__(self) -> None:
        self.say: Callable[[str], None] = to_stderr
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.has_ended = False
        self._rest = b""

    def copy(self) -> None:
        """Copy what is there. The error sentence is not copied: it becomes the error's message."""
        while not self.has_ended:
            try:
                received = os.read(self.read_end, 1 << 16)
            except BlockingIOError:
                return
            self.has_ended = not received
            *lines, self._rest = (self._rest + received).split(b"\n")
            for line in [*lines, self._rest] if self.has_ended and self._rest else lines:
                self._take(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Close the end that is read."""
        os.close(self.read_end)

    def _take(self, line: str) -> None:
        if line.strip():
            self.last.append(line.rstrip())
        if not line.startswith(ERROR_PREFIX):
            self.say(line)


class WorkerProcess:
    """A worker process in a session of its own, and its launcher's end of the socket.

    The process starts when it is waited for the first time. So the ``try`` whose ``finally`` calls ``stop`` begins
    before the process does, and no signal can come between the two.

    Args:
        settings: names the worker's interpreter and T2S_HOME.
        arguments: of the worker's command line.
        variables: additional environment variables.
        grace: seconds that the worker may take to stop after SIGTERM.

    Raises:
        MissingWorkerError: if there is no interpreter.
    """

    def __init__(
        self, settings: Settings, arguments: Sequence[str], variables: Mapping[str, str], grace: float
    ) -> None:
        self._command = worker_command(settings, arguments)
        self._environment = {**worker_environment(settings), **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self._grace, self._has_served, self._is_working = grace, False, False
        self._channel, self._theirs = socket.socketpair()
        self._is_interrupted = False
        self._receiver, self._pulse = Receiver(self._channel), Pulse()
        self._output: _Output | None = _Output()

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def finish(self, arguments: Sequence[str], say: Callable[[str], None] = to_stderr) -> None:
        """Run the one command that the process was made for, and wait for its end.

        Raises:
            WorkerError: if the command failed.
        """
        output = self._output
        assert output is not None, "a process is waited for once"
        output.say = say
        process = self._start(output)
        os.close(output.write_end)
        self._follow(process, arguments, output, serves=False)
        code = process.wait()
        if code != 0:
            raise failure(arguments, code, list(output.last))

    def request(
        self, arguments: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None] = to_stderr
    ) -> bool:
        """Let a process that serves run one command; return whether it takes another one after that.

        Standard error of the process is that of the command. What it writes before its first command counts too.

        Raises:
            EndedWhileIdle: if the process had ended after its last command.
            WorkerError: if the command failed.
        """
        output, self._output = self._output or _Output(), None
        output.say = say
        self._is_working = False
        try:
            process = self._process or self._start(output)
            try:
                send(self._channel, Request(arguments, variables), files=(STDOUT, output.write_end))
            except OSError:
                pass  # It has ended. What it wrote says why.
            finally:
                os.close(output.write_end)
            reply = self._follow(process, arguments, output, serves=True)
            if reply is None:
                if self._has_served and not self._is_working:
                    raise EndedWhileIdle(f"The worker ended before it began with `{' '.join(arguments)}`.")
                raise failure(arguments, process.wait(), list(output.last))
        finally:
            output.close()
        self._has_served = True
        if reply.code != 0:
            raise failure(arguments, reply.code, list(output.last))
        return reply.stays

    def interrupt(self) -> None:
        """Let the thread that waits for this process stop waiting: it gets a WorkerError within a second."""
        self._is_interrupted = True

    def stop(self) -> None:
        """Stop the process and everything that it started."""
        self._channel.close()
        self._theirs.close()
        if self._process is not None:
            stop(self._process, self._grace)
        if self._output is not None:
            self._output.close()

    def _start(self, output: _Output) -> "subprocess.Popen[bytes]":
        with self._theirs, interrupts_held():
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=self._theirs.fileno(),
                stderr=output.write_end,
                start_new_session=True,
            )
        return self._process

    def _follow(
        self, process: "subprocess.Popen[bytes]", arguments: Sequence[str], output: _Output, serves: bool
    ) -> Reply | None:
        """Copy the output until the command has ended; return the reply of a process that serves.

        Raises:
            WorkerError: if the process is silent for too long.
        """
        self._pulse.begin(process.pid)
        with selectors.DefaultSelector() as ready:
            ready.register(output.read_end, selectors.EVENT_READ)
            ready.register(self._channel, selectors.EVENT_READ)
            while True:
                sources = {key.fileobj for key, _ in ready.select(LOOK_SECONDS)}
                reply = self._listen() if self._channel in sources else None
                output.copy()
                if reply is not None or (self._receiver.has_ended if serves else output.has_ended):
                    return reply
                for source, has_ended in (
                    (output.read_end, output.has_ended),
                    (self._channel, self._receiver.has_ended),
                ):
                    if has_ended and source in sources:
                        ready.unregister(source)
                if self._is_interrupted:
                    raise WorkerError(f"The worker `{arguments[0]}` was stopped.")
                if fault := self._pulse.fault():
                    raise silent(arguments, fault)

    def _listen(self) -> Reply | None:
        """Take the messages of the worker; return its reply if it is among them."""
        reply = None
        for message in self._receiver.read():
            self._pulse.hear(message)
            if isinstance(message, Accepted):
                self._is_working = True
            elif isinstance(message, Reply):
                reply = message
        return reply
