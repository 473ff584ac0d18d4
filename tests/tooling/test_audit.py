"""`make audit` lists known vulnerabilities, and says so where the database cannot be reached."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from t2s_pipeline.core.settings import REPO


class Database(http.server.BaseHTTPRequestHandler):
    """Knows one vulnerability, of numpy."""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries if query["version"]]
        results = [{"vulns": [{"id": "GHSA-1"}, {"id": "CVE-2"}]} if name == "numpy" else {} for name in names]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(address: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "T2S_OSV": address, "no_proxy": "127.0.0.1"}
    return subprocess.run([sys.executable, REPO / ".ci" / "audit"], env=environment, capture_output=True, text=True)


def test_a_known_vulnerability_is_listed_with_its_version_and_fails(database: str) -> None:
    done = audit(database)
    assert done.returncode == 1 and "numpy " in done.stdout and "CVE-2, GHSA-1" in done.stdout
    assert " packages, 1 with known" in done.stdout or " packages, 2 with known" in done.stdout  # one per environment


def test_a_database_that_cannot_be_reached_is_said() -> None:
    done = audit("http://127.0.0.1:9")
    assert done.returncode == 3 and "Nothing was checked" in done.stderr and "Traceback" not in done.stderr
