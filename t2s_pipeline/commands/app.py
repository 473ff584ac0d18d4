"""`t2s app`: a page on which a person asks scenes and corrects the answers."""

import os
import secrets
import signal
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.commands.request_guard import RequestGuard
from t2s_pipeline.commands.ui import HOST, AllowedHosts, require_free
from t2s_pipeline.core.interrupts import INTERRUPTS
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.commands.page.desk import Desk

NAME = "app"


def app(
    scenes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE…", help="Rasters, or folders of them, beside those of the folder of imagery."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 3100,
    system: Annotated[
        str | None, typer.Option(help="The system that is chosen at first. Default: the best one that is here.")
    ] = None,
    allow_host: AllowedHosts = None,
) -> None:
    """Serve a page to ask scenes on, until Ctrl-C: thought, boxes, points and masks on a map, to correct and to keep.

    It offers the rasters of T2S_IMAGERY (default: the folder imagery in T2S_HOME), those that are named here, and files
    that are dropped on it. The models stay loaded in the worker. Nothing leaves this machine.
    """
    from t2s_pipeline.commands.page.desk import Desk
    from t2s_pipeline.worker.serve import KEEPS_GPU

    require_free(port, f"make {NAME}")
    settings = Settings.from_env()
    settings.require_worker()
    # The worker ends after some minutes without a request, and gives the memory of the GPU back then.
    os.environ.setdefault(KEEPS_GPU, "on")
    desk = Desk(settings, scenes or (), system or "")
    try:
        print(f"The page to ask on: http://{HOST}:{port} (Ctrl-C stops it)", flush=True)
        desk.warm()
        _serve(desk, port, allow_host or ())
    except KeyboardInterrupt:
        print("The page has ended.", flush=True)
    finally:
        desk.close()


def _serve(desk: "Desk", port: int, names: Iterable[str]) -> None:
    import uvicorn
    from rasterio.errors import NotGeoreferencedWarning

    from t2s_pipeline.commands.page.server import application

    # ``open_scene`` silences it in one thread at a time, and the notes of a scene say it.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)

    guarded = RequestGuard(application(desk), secrets.token_urlsafe(32), names, NAME)
    config = uvicorn.Config(
        guarded,
        host=HOST,
        port=port,
        # Faults of the page's requests are printed by the application. The server would print those of a page that is
        # closed while it is answered, too.
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    # The server gives the signal back to these after it has stopped.
    for number in INTERRUPTS:
        signal.signal(number, signal.default_int_handler)
    uvicorn.Server(config).run()
