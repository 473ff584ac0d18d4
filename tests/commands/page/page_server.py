"""The server of the page in a process of its own, with a worker of the test's choice."""

import http.cookiejar
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from t2s_pipeline.core.settings import REPO

PAINTED_WORKER = f"""#!/bin/sh
exec {sys.executable} -m tests.commands.page.painted_worker
"""


def painted_worker(folder: Path) -> Path:
    """The worker without torch, as an interpreter."""
    program = folder / "painted_worker"
    program.write_text(PAINTED_WORKER)
    program.chmod(0o755)
    return program


class PageServer:
    """``t2s app`` with a T2S_HOME. ``worker`` is the worker's interpreter; None: the one of the checkout."""

    def __init__(self, home: Path, worker: Path | None, *arguments: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home, self.url = home, f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "T2S_HOME": str(home), "PYTHONPATH": str(REPO), "HF_HUB_OFFLINE": "1"}
        environment |= {"T2S_WORKER_PYTHON": str(worker)} if worker else {}
        command = [sys.executable, "-m", "t2s_pipeline.cli", "app", "--port", str(self.port), *arguments]
        self.output = (home / "app.log").open("w")
        self.process = subprocess.Popen(
            command, cwd=home, env=environment, stdout=self.output, stderr=self.output, start_new_session=True
        )
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def wait(self) -> "PageServer":
        """Return as soon as it answers."""
        while True:
            assert self.process.poll() is None, (self.home / "app.log").read_text()
            try:
                self.request("GET", "/")
                return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                threading.Event().wait(0.05)

    def cookie(self) -> str:
        """The cookie of the page, as a header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer to a request of the page, which has its cookie."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, body, names, method=method)
        try:
            with self._opener.open(request, timeout=300) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as fault:
            with fault:
                return fault.code, fault.read()

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """The JSON of the answer; a fault is an error."""
        status, body = self.request(method, path, None if value is None else json.dumps(value).encode())
        assert status == 200, body
        return json.loads(body)

    def fault(self, method: str, path: str, value: Any = None) -> str:
        """The sentence of a request that is refused."""
        body = value if isinstance(value, bytes) else None if value is None else json.dumps(value).encode()
        status, answer = self.request(method, path, body)
        assert status in (400, 409), (status, answer)
        return json.loads(answer)["fault"]

    def finished(self) -> dict[str, Any]:
        """The state of the work when it has ended."""
        while (state := self.ask("GET", "/api/work"))["state"] == "running":
            threading.Event().wait(0.05)
        return state

    def stop(self) -> str:
        """End it as Ctrl-C does; what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        assert self.process.wait(120) == 0
        self.output.close()
        return (self.home / "app.log").read_text()
