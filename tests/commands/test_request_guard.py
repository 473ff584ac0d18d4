"""Which requests reach the web server: those of its own pages, and of programs with the token."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.commands.request_guard import HEADER, RequestGuard, cookie_of

TOKEN = "0123456789" * 4
COOKIE = cookie_of("ui")
OWN = {"host": "127.0.0.1:3000"}
WITH_TOKEN = {"cookie": f"other=1; {COOKIE}={TOKEN}"}


def answer(
    headers: dict[str, str] | list[tuple[str, str]],
    method: str = "GET",
    path: str = "/",
    kind: str = "http",
    names: tuple[str, ...] = (),
) -> list[dict]:
    """What the guard, and behind it a server that always answers with a page, sends to a request."""

    async def server(scope, receive, send) -> None:
        if kind == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b""})

    sent: list[dict] = []

    async def send(message) -> None:
        sent.append(message)

    pairs = headers.items() if isinstance(headers, dict) else headers
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in pairs]
    scope = {"type": kind, "method": method, "path": path, "headers": raw}
    asyncio.run(RequestGuard(server, TOKEN, names)(scope, None, send))
    return sent


def passes(headers: dict[str, str] | list[tuple[str, str]], **request) -> bool:
    first = answer(headers, **request)[0]
    return first["type"] == "websocket.accept" or first.get("status") == 200


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:8080", "127.0.0.1"])
def test_the_names_of_this_machine_are_answered_at_any_port(host):
    assert passes({"host": host})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "localhost.", "0.0.0.0", "", "[", "a b", "1"],
)
def test_another_host_name_is_refused(host):
    assert not passes({"host": host})
    assert not passes({"host": host, **WITH_TOKEN}, method="POST", path="/graphql")


def test_one_host_name_is_needed_and_no_second():
    assert not passes({})
    assert not passes([("host", "localhost"), ("host", "evil.example")])


def test_a_proxy_s_name_is_answered_if_it_is_allowed():
    assert passes({"host": "hub.example:443", "origin": "https://hub.example:443"}, names=("Hub.example",))
    assert not passes({"host": "hub.example"})


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:3000", "file://", "127.0.0.1:3000"],
)
def test_a_page_of_another_origin_is_refused_even_with_the_token(origin):
    for request in (
        {"method": "POST", "path": "/graphql"},
        {"kind": "websocket", "path": "/graphql"},
        {"method": "GET"},
    ):
        assert not passes({**OWN, **WITH_TOKEN, "origin": origin}, **request)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_another_site_may_link_to_a_page_and_nothing_else(site):
    assert passes({**OWN, "sec-fetch-site": site, "sec-fetch-mode": "navigate", "accept": "text/html"})
    assert not passes({**OWN, "sec-fetch-site": site, "sec-fetch-mode": "no-cors"}, path="/logs/a/out")
    assert not passes({**OWN, **WITH_TOKEN, "sec-fetch-site": site, "sec-fetch-mode": "navigate"}, method="POST")


@pytest.mark.parametrize(
    "request_", [{"method": "POST"}, {"method": "PUT"}, {"method": "OPTIONS"}, {"kind": "websocket"}, {"method": "x"}]
)
def test_what_can_change_something_needs_the_token(request_):
    assert not passes(OWN, **request_)
    for wrong in (f"{COOKIE}=", f"{COOKIE}={TOKEN}0", f"{COOKIE}x={TOKEN}", TOKEN, f"{COOKIE}={TOKEN[:-1]}ü"):
        assert not passes({**OWN, "cookie": wrong}, **request_)
    assert passes({**OWN, **WITH_TOKEN, "origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}, **request_)
    assert passes({**OWN, HEADER: TOKEN}, **request_)


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
def test_graphql_by_get_is_refused_whoever_asks(path):
    assert not passes({**OWN, **WITH_TOKEN, "accept": "*/*"}, path=path)
    assert passes({**OWN, "accept": "text/html,*/*"}, path=path)  # a page in which a person can type a query


def test_a_page_brings_the_token_for_itself_only_and_cannot_be_framed():
    headers = dict(answer(OWN)[0]["headers"])
    cookie = headers[b"set-cookie"].decode()
    assert TOKEN in cookie and "SameSite=Strict" in cookie and "HttpOnly" in cookie
    assert headers[b"x-frame-options"] == b"DENY"


@given(st.lists(st.tuples(st.sampled_from(["host", "origin", "cookie", "accept", "sec-fetch-site"]), st.text())))
def test_whatever_the_headers_are_nothing_passes_without_the_token(headers):
    assert not passes(headers, method="POST", path="/graphql")


def test_a_short_token_is_none():
    with pytest.raises(ValueError, match="too short"):
        RequestGuard(lambda *_: None, "abc")


def test_the_services_start_the_guarded_web_server_and_the_daemon_as_it_is(monkeypatch):
    dev = pytest.importorskip("dagster._cli.dev")
    from t2s_pipeline.commands.processes import services

    started: list[list[str]] = []
    monkeypatch.setattr(dev, "open_ipc_subprocess", lambda parts, **options: started.append(list(parts)))
    monkeypatch.setattr("dagster._cli.main", lambda: None)
    monkeypatch.setattr("sys.argv", ["services"])
    services.main()
    dev.open_ipc_subprocess(["python", "-m", "dagster_webserver", "--port", "1"], pass_fds=[3])
    dev.open_ipc_subprocess(["python", "-m", "dagster._daemon", "run"])
    assert started == [["python", "-m", services.GUARDED, "--port", "1"], ["python", "-m", "dagster._daemon", "run"]]
    for other in (["dagster-webserver"], ["python", "-u", "-m", "dagster_webserver"]):
        with pytest.raises(RuntimeError, match="not guarded"):
            dev.open_ipc_subprocess(other)


def test_the_token_is_new_at_each_start_and_for_this_user_only(tmp_path):
    from t2s_pipeline.commands.ui import new_token

    file = tmp_path / "home" / "ui_token"
    first, second = new_token(file), new_token(file)
    assert first != second == file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
