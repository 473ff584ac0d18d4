"""A website in a real browser cannot start a run in the web UI, and the UI's own pages work, websockets too."""

import functools
import http.server
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("dagster_webserver")

from t2s_pipeline.commands.request_guard import HEADER
from t2s_pipeline.commands.ui import HOSTS, TOKEN
from t2s_pipeline.core.settings import REPO
from tests.browser import PROGRAM, Browser

pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs chromium (apt-get install chromium)"),
]

LAUNCH = (
    'mutation { launchRun(executionParams: {mode: "default", selector: {repositoryLocationName: '
    '"tests.commands.tiny_definitions", repositoryName: "__repository__", jobName: "harmless"}}) { __typename '
    "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
)
COUNT = "{ runsOrError { ... on Runs { results { runId } } } }"

ATTACK = """<!doctype html><body><script>
const server = TARGET, query = LAUNCH, url = server + "/graphql";
const byGet = url + "?query=" + encodeURIComponent(query);
const body = JSON.stringify({query});
const opened = (make) => new Promise((done) => make(done));
const element = (name, address) => opened((done) => {
  const one = document.createElement(name);
  one.onload = one.onerror = done; one.src = address; document.body.append(one);
});
const form = (method, type) => opened((done) => {
  const [frame, one, field] = ["iframe", "form", "input"].map((name) => document.createElement(name));
  frame.name = "f" + method + type; document.body.append(frame);
  frame.onload = frame.onerror = done;
  field.name = "query"; field.value = query; one.append(field);
  one.action = method === "POST" ? byGet : url; one.method = method; one.enctype = type; one.target = frame.name;
  document.body.append(one); one.submit();
});
const socket = (protocol) => opened((done) => {
  const one = new WebSocket(url.replace("http", "ws"), protocol);
  one.onopen = () => { one.send(JSON.stringify({type: "connection_init", payload: {}}));
    one.send(JSON.stringify({id: "1", type: "start", payload: {query}})); setTimeout(done, 1000); };
  one.onerror = one.onclose = done;
});
const tried = [];
const attempt = async (name, work) => { try { await work(); tried.push(name); } catch (fault) { tried.push(name); } };
(async () => {
  for (const mode of ["no-cors", "cors", "same-origin"]) for (const credentials of ["include", "omit"]) {
    await attempt("get", () => fetch(byGet, {mode, credentials}));
    for (const type of ["text/plain", "application/json", "application/x-www-form-urlencoded"])
      for (const address of [url, byGet])
        await attempt("post", () =>
          fetch(address, {method: "POST", mode, credentials, headers: {"Content-Type": type}, body}));
  }
  await attempt("beacon", () => navigator.sendBeacon(byGet, body));
  for (const name of ["img", "script", "iframe"]) await attempt(name, () => element(name, byGet));
  for (const type of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
    await attempt("form", () => form("POST", type));
  await attempt("form", () => form("GET", ""));
  await attempt("socket", () => socket("graphql-ws"));
  window.tried = tried;
})();
</script></body>"""


class Server:
    """A web server of the tiny code location with a history of its own."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        self.token = secrets.token_urlsafe(32)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = folder
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        environment = {**os.environ, "DAGSTER_HOME": str(folder), TOKEN: self.token, HOSTS: "", "PYTHONPATH": str(REPO)}
        command = [sys.executable, "-m", module, *arguments, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["-m", "tests.commands.tiny_definitions"]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=self.log, stderr=self.log)

    def wait(self) -> "Server":
        """Return as soon as it answers."""
        while True:
            assert self.process.poll() is None, (self.home / "log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=60):
                    return self
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                threading.Event().wait(0.1)

    def ask(self, query: str, **headers: str) -> dict:
        """The answer to a query of a program that knows the token."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json", HEADER: self.token, **headers},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["data"]

    def runs(self) -> int:
        return len(self.ask(COUNT)["runsOrError"]["results"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(120)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("guarded"), "t2s_pipeline.commands.processes.web_server")
    yield server.wait()
    server.stop()


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Dagster's own web server: it shows that the attacks are real."""
    server = Server(tmp_path_factory.mktemp("unguarded"), "dagster_webserver")
    yield server.wait()
    server.stop()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def attack(browser: Browser, server: Server, folder: Path, host: str) -> None:
    """Open the page of a website that tries everything. First the browser visits the UI, so that it has its cookie."""
    target = f"http://127.0.0.1:{server.port}"
    browser.open(f"{target}/jobs")
    browser.wait_for('document.body && document.body.innerText.includes("harmless")')
    page = ATTACK.replace("TARGET", json.dumps(target)).replace("LAUNCH", json.dumps(LAUNCH))
    (folder / "attack.html").write_text(page)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        browser.open(f"http://{host}:{website.server_port}/attack.html")
        assert len(browser.wait_for("window.tried")) == 51
        website.shutdown()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_website_starts_no_run(guarded, browser, tmp_path, host):
    attack(browser, guarded, tmp_path, host)
    assert guarded.runs() == 0


def test_the_same_website_starts_runs_in_a_server_without_the_guard(unguarded, browser, tmp_path):
    attack(browser, unguarded, tmp_path, "localhost")
    assert unguarded.runs() > 0


def test_a_page_of_the_ui_shows_jobs_and_has_its_websocket(guarded, browser):
    browser.open(f"http://127.0.0.1:{guarded.port}/jobs")
    browser.wait_for('document.body && document.body.innerText.includes("harmless")')
    answer = browser.evaluate(
        "new Promise((done) => { const one = new WebSocket(`ws://${location.host}/graphql`, 'graphql-ws');"
        "one.onopen = () => one.send(JSON.stringify({type: 'connection_init', payload: {}}));"
        "one.onmessage = (message) => done(JSON.parse(message.data).type); one.onerror = () => done('refused'); })"
    )
    assert answer == "connection_ack"


@pytest.mark.parametrize("headers", [{HEADER: "wrong"}, {"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_a_program_without_the_token_or_from_elsewhere_is_refused_with_a_sentence(guarded, headers):
    with pytest.raises(urllib.error.HTTPError) as error:
        guarded.ask(COUNT, **headers)
    assert error.value.code == 403 and error.value.read().startswith(b"t2s ui: ")
