"""What a launcher and its worker send each other: one line of JSON per message, over one socket.

The worker's end of the socket is its standard input. A process that the worker starts inherits it, so each process of a
training with several ranks can send heartbeats. The end of the connection tells the worker that its launcher has ended.
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Request:
    """The launcher asks for one command. The file descriptors for its output travel with the message."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    """Additional environment variables for this command: the address of its Dagster Pipes session."""


@dataclass(frozen=True)
class Accepted:
    """The worker has received a request and begins."""


@dataclass(frozen=True)
class Reply:
    """The worker has finished a request."""

    code: int
    """The exit code of the command."""
    stays: bool
    """Whether the process takes another request. If not, it ends now."""


@dataclass(frozen=True)
class Heartbeat:
    """A process of the worker is not stopped."""

    process: int
    seconds: float
    """Processor time that the process has used. It stands still while the process waits."""


@dataclass(frozen=True)
class Unwatched:
    """No more heartbeats come, because the process becomes another program."""

    process: int


Message = Request | Accepted | Reply | Heartbeat | Unwatched
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Request, Accepted, Reply, Heartbeat, Unwatched)}


def send(channel: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    """Send a message.

    Args:
        channel: one end of the socket.
        message: the message.
        files: file descriptors that the receiver gets with it.

    Raises:
        OSError: if the other process has closed its end.
    """
    line = json.dumps({"kind": type(message).__name__, **asdict(message)}).encode() + b"\n"
    if files:
        sent = socket.send_fds(channel, [line], list(files))
        line = line[sent:]
    channel.sendall(line)


class Receiver:
    """Reads messages from one end of the socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._rest = channel, b""
        self.files: list[int] = []
        """File descriptors that came with the messages, in their order. Who takes them closes them."""
        self.has_ended = False
        """True if the other process has closed its end."""

    def read(self) -> Iterator[Message]:
        """The messages that are there; waits until at least some bytes are.

        Raises:
            TimeoutError: if nothing comes within the time limit of the socket.
        """
        try:
            received, files, _, _ = socket.recv_fds(self._channel, 1 << 16, 2)
        except ConnectionResetError:
            received, files = b"", []
        self.files += files
        self.has_ended = not received
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            content = json.loads(line)
            yield _KINDS[content.pop("kind")](**content)

    def take_files(self, number: int) -> list[int]:
        """The next file descriptors. The process that takes them closes them."""
        taken, self.files = self.files[:number], self.files[number:]
        return taken


def standard_input() -> socket.socket:
    """This process's end of the socket. Closing the object leaves standard input open."""
    return socket.socket(fileno=os.dup(0))
