"""The HTTP server of the page. Every answer that is no file is JSON; a fault is ``{"fault": one sentence}``."""

import shutil
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from t2s_pipeline.commands.page.desk import Chosen, Desk
from t2s_pipeline.commands.page.requests import MOST_DRAWS, Fields, bands_of, fields_of
from t2s_pipeline.commands.page.tiles import tile_of
from t2s_pipeline.commands.page.work import BROKEN, BusyError
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.visible import shortened
from t2s_pipeline.vision.scene import open_scene

STATIC = Path(__file__).with_name("static")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: nothing from elsewhere, and no script or style in the page's text."""

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

Handler = Callable[[Request], Awaitable[Response]]


def application(desk: Desk) -> ASGIApp:
    """The page and its requests as an ASGI application. It has no check of who asks (``RequestGuard``)."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(desk.close)

    actions = Actions(desk)
    routes = [
        Route("/", _page),
        Route("/api/choices", _said(actions.choices)),
        Route("/api/scenes", _said(actions.upload), methods=["POST"]),
        Route("/api/scenes/{scene}", _said(actions.describe)),
        Route("/api/scenes/{scene}", _said(actions.remove), methods=["DELETE"]),
        Route("/api/scenes/{scene}/tiles/{level:int}/{column:int}/{row:int}", _said(actions.tile)),
        Route("/api/scenes/{scene}/ask", _said(actions.ask), methods=["POST"]),
        Route("/api/scenes/{scene}/blank", _said(actions.blank), methods=["POST"]),
        Route("/api/work", _said(actions.work)),
        Route("/api/work", _said(actions.stop), methods=["DELETE"]),
        Route("/api/answers/{answer}", _said(actions.answer)),
        Route("/api/answers/{answer}/objects", _said(actions.add), methods=["POST"]),
        Route("/api/answers/{answer}/objects/{number:int}", _said(actions.change), methods=["PUT"]),
        Route("/api/answers/{answer}/objects/{number:int}", _said(actions.delete), methods=["DELETE"]),
        Route("/api/answers/{answer}/sample", _said(actions.keep), methods=["POST"]),
        Route("/api/answers/{answer}/files/{name}", _said(actions.download)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return _with_headers(Starlette(routes=routes, lifespan=lifespan))


class Actions:
    """One method per request of the page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def choices(self, request: Request) -> Response:
        """What can be chosen."""
        return JSONResponse(await run_in_threadpool(self._desk.choices))

    async def upload(self, request: Request) -> Response:
        """Take a file; its name is in the query."""
        scene = await self._desk.uploads.receive(request.query_params.get("name", ""), request.stream())
        self._desk.add(scene)
        return JSONResponse({"key": scene.key, "name": scene.path.name})

    async def describe(self, request: Request) -> Response:
        """Size, bands and notes of a scene."""
        bands = bands_of(request.query_params.get("bands", ""))
        return JSONResponse(await run_in_threadpool(self._desk.describe, request.path_params["scene"], bands))

    async def remove(self, request: Request) -> Response:
        """Remove a file that was given to the page."""
        await run_in_threadpool(self._desk.remove, request.path_params["scene"])
        return JSONResponse({})

    async def tile(self, request: Request) -> Response:
        """A tile of the map."""
        bands = bands_of(request.query_params.get("bands", ""))
        place = tuple(request.path_params[name] for name in ("level", "column", "row"))

        def read() -> tuple[bytes, str] | None:
            with open_scene(self._desk.scene(request.path_params["scene"]).path, bands) as scene:
                return tile_of(scene, *place)

        tile = await run_in_threadpool(read)
        if tile is None:
            return Response(status_code=404)
        return Response(tile[0], media_type=tile[1], headers={"Cache-Control": "private, max-age=3600"})

    async def ask(self, request: Request) -> Response:
        """Begin to answer a question."""
        fields = await fields_of(request)
        arguments = request.path_params["scene"], fields.text("question"), _chosen(fields)
        return JSONResponse({"number": await run_in_threadpool(self._desk.ask, *arguments)})

    async def blank(self, request: Request) -> Response:
        """An answer without objects, for prompts of a person."""
        chosen = _chosen(await fields_of(request))
        answer = await run_in_threadpool(self._desk.blank, request.path_params["scene"], chosen)
        return JSONResponse(answer.as_json())

    async def work(self, request: Request) -> Response:
        """The state of the question that is being answered."""
        return JSONResponse(asdict(self._desk.work.state))

    async def stop(self, request: Request) -> Response:
        """Stop answering."""
        await run_in_threadpool(self._desk.work.stop)
        return JSONResponse({})

    async def answer(self, request: Request) -> Response:
        """An answer as it is now."""
        return JSONResponse(self._desk.answer(request.path_params["answer"]).as_json())

    async def add(self, request: Request) -> Response:
        """A new object."""
        return await self._prompt(request, None)

    async def change(self, request: Request) -> Response:
        """An object whose prompts have changed."""
        return await self._prompt(request, request.path_params["number"])

    async def delete(self, request: Request) -> Response:
        """Remove an object."""
        await run_in_threadpool(self._desk.delete, request.path_params["answer"], request.path_params["number"])
        return JSONResponse({})

    async def keep(self, request: Request) -> Response:
        """Keep the answer as a labelled sample."""
        fields = await fields_of(request)
        arguments = fields.text("question"), fields.text("dataset"), fields.text("split", "train"), fields.view()
        kept_sample = await run_in_threadpool(self._desk.keep, request.path_params["answer"], *arguments)
        return JSONResponse({**asdict(kept_sample), "folder": str(kept_sample.folder)})

    async def download(self, request: Request) -> Response:
        """A file of the answer as it is now."""
        key, name = request.path_params["answer"], request.path_params["name"]
        path = await run_in_threadpool(self._desk.written, key, name)
        stem = self._desk.answer(key).scene.path.stem
        after = BackgroundTask(shutil.rmtree, path.parent, ignore_errors=True)
        return FileResponse(path, filename=f"{stem}-{name}", headers={"Cache-Control": "no-store"}, background=after)

    async def _prompt(self, request: Request, number: int | None) -> Response:
        fields, key = await fields_of(request), request.path_params["answer"]

        def segment() -> dict[str, Any]:
            answer = self._desk.answer(key)
            with open_scene(answer.scene.path, answer.bands) as scene:
                prompt = fields.prompt(scene.width, scene.height)
            return self._desk.prompt(key, number, prompt)

        return JSONResponse(await run_in_threadpool(segment))


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html", headers={"Cache-Control": "no-store"})


def _chosen(fields: Fields) -> Chosen:
    bands, draws = bands_of(fields.text("bands")), fields.whole("draws", MOST_DRAWS)
    return Chosen(fields.text("system"), fields.text("segmenter"), bands, draws)


def _said(action: Handler) -> Handler:
    """The action; a fault that a person can repair becomes one sentence, and a bug of ours does not show its inside."""

    async def respond(request: Request) -> Response:
        try:
            return await action(request)
        except T2SError as fault:
            status = 409 if isinstance(fault, BusyError) else 400
            return JSONResponse({"fault": shortened(" ".join(str(fault).split()))}, status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception:  # noqa: BLE001  # reported in the terminal
            traceback.print_exc()
            return JSONResponse({"fault": BROKEN}, 500)

    return respond


def _with_headers(inner: ASGIApp) -> ASGIApp:
    """The application with the headers that keep the page to itself."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await inner(scope, receive, send_with_headers)

    return outer
