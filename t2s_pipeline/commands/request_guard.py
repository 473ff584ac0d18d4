"""Who may use the web UI and the page to ask on: their own pages, and programs that know the token.

A web server such as Dagster's answers whoever reaches it. A page of any website can send requests to 127.0.0.1 from
the browser of the person who reads it, and so start runs. ``RequestGuard`` stands before the server and refuses

- a request for another host name. A website can let its own name point to 127.0.0.1 (DNS rebinding);
- a request that a page of another origin sends, by the headers ``Origin`` and ``Sec-Fetch-Site``;
- a request that can change something (all but GET and HEAD, and every websocket) without the token. A browser gets it
  as a cookie with the UI's pages and sends it with requests of these pages only (``SameSite=Strict``). A program reads
  it from a file and sends it as the header ``X-T2S-Token``;
- GraphQL by GET, which can change something too;
- to be shown inside a page of somebody else.
"""

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""An ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

OWN_NAMES = ("127.0.0.1", "localhost", "::1")
"""The names of this machine. Any port is allowed, because people forward ports."""
HEADER = "X-T2S-Token"
POLICY_VIOLATION = 1008
"""The code with which a websocket is closed."""

_READING = ("GET", "HEAD")


class RequestGuard:
    """An ASGI application that passes on to another one what may be passed on."""

    def __init__(self, application: Application, token: str, names: Iterable[str] = (), name: str = "ui") -> None:
        """Guard an application.

        Args:
            application: the web server's.
            token: a secret of at least 32 characters.
            names: host names beside those of this machine, for a proxy.
            name: the command of `t2s` that serves. Browsers send a cookie to every port, so each has its own.
        """
        if len(token) < 32:
            raise ValueError("the token is too short")
        self._application = application
        self._token = token
        self._name, self._cookie = name, cookie_of(name)
        self._names = frozenset((*OWN_NAMES, *(name.lower() for name in names)))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer that it is refused."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        request = _Request.of(scope)
        refusal = self.refusal(request)
        if refusal is None:
            await self._application(scope, receive, self._with_cookie(send) if request.method == "GET" else send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal})
        else:
            body = f"t2s {self._name}: {refusal}\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    def refusal(self, request: "_Request") -> str | None:
        """Why a request is refused, in one sentence; None if it may pass."""
        hosts, origins = request.headers.get("host", []), request.headers.get("origin", [])
        if len(hosts) != 1 or _name(hosts[0]) not in self._names:
            return f"requests for this host name are refused; `t2s {self._name} --allow-host NAME` allows one."
        if len(origins) > 1 or any(urlsplit(origin).netloc.lower() != hosts[0].lower() for origin in origins):
            return "requests from pages of another origin are refused."
        is_navigation = request.method == "GET" and request.headers.get("sec-fetch-mode") == ["navigate"]
        if not set(request.headers.get("sec-fetch-site", [])) <= {"same-origin", "none"} and not is_navigation:
            return "requests from pages of another site are refused."
        is_page = any("text/html" in accepted for accepted in request.headers.get("accept", []))
        if request.method == "GET" and request.path.rstrip("/").endswith("/graphql") and not is_page:
            return "GraphQL is answered to POST only."
        if request.method not in _READING and not self._has_token(request):
            return f"the token is missing: reload the page, or send it as the header {HEADER} (docs/security.md)."
        return None

    def _has_token(self, request: "_Request") -> bool:
        cookies = (part.strip() for line in request.headers.get("cookie", []) for part in line.split(";"))
        values = [value for name, _, value in (part.partition("=") for part in cookies) if name == self._cookie]
        values += request.headers.get(HEADER.lower(), [])
        return any(secrets.compare_digest(value.encode(), self._token.encode()) for value in values)

    def _with_cookie(self, send: Send) -> Send:
        """``send``, with the token as a cookie and the refusal to be framed on every page."""
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict".encode()

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers):
                    headers += [(b"set-cookie", cookie), (b"x-frame-options", b"DENY")]
                message["headers"] = headers
            await send(message)

        return send_with_cookie


@dataclass(frozen=True)
class _Request:
    """What a refusal depends on. A websocket has the method ``WEBSOCKET``, because it can change something."""

    method: str
    path: str
    headers: dict[str, list[str]]

    @classmethod
    def of(cls, scope: Message) -> "_Request":
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        method = "WEBSOCKET" if scope["type"] == "websocket" else str(scope["method"])
        return cls(method, str(scope["path"]), headers)


def cookie_of(name: str) -> str:
    """The cookie with the token of the command of that name."""
    return f"t2s_{name}"


def _name(host: str) -> str:
    """The name in a header ``Host``, in lower case and without the port; empty if it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
