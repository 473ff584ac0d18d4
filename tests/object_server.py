"""A real S3-speaking server for the tests: moto's, in a process of its own.

``python -m tests.object_server [KIND]`` prints its port, and serves until its standard input ends. moto checks the
conditions of a write and writes afterwards, in a thread per request. So two writes could both meet their conditions.
Here one request at a time changes objects. A real object store guarantees this per object.
"""

import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "lakes"
"""The bucket that is there from the beginning."""

DENIED = "denied-key"
"""The access key that may do nothing."""

Answer = Iterable[bytes]


class OneChangeAtATime:
    """The server's application, with one change at a time, and without access for ``DENIED``.

    Args:
        application: of moto.
        is_conditional: False for a server that ignores the conditions of a write, as some do.
    """

    def __init__(self, application: Any, is_conditional: bool) -> None:
        self._application, self._is_conditional, self._lock = application, is_conditional, Lock()

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> Answer:
        """Answer a request."""
        if f"Credential={DENIED}/" in environment.get("HTTP_AUTHORIZATION", ""):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [f"<Error><Code>AccessDenied</Code><AWSAccessKeyId>{DENIED}</AWSAccessKeyId></Error>".encode()]
        if not self._is_conditional:
            for header in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environment.pop(header, None)
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environment, start)
        with self._lock:
            return list(self._application(environment, start))


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, *_: object) -> None:
        """Write nothing."""


def main(kind: str = "conditional") -> None:
    """Serve on a free port of this machine until the standard input ends."""
    import threading

    application = OneChangeAtATime(DomainDispatcherApplication(create_backend_app), kind == "conditional")
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
