"""`t2s ui`: Dagster's web UI and daemon on this machine, with the history of earlier runs."""

import os
import signal
import socket
import sys
from typing import Annotated

import typer

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import REPO, Settings

HOST = "127.0.0.1"


def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 3000) -> None:
    """Serve Dagster's web UI until Ctrl-C. Runs, logs and assets are kept for the next start."""
    from t2s_pipeline.commands.instance import prepare

    require_free(port)
    environment = prepare(Settings.from_env())
    # `dagster dev` prints on every start that another package has a newer command.
    environment["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded:FutureWarning"
    print(f"Dagster's web UI: http://{HOST}:{port} (Ctrl-C stops it)", flush=True)
    # Not in the checkout: Dagster would warn about the dagster.yaml there, which is already in use as a copy.
    os.chdir(environment["DAGSTER_HOME"])
    # A background job of a shell ignores SIGINT, but Dagster stops its services and runs with that signal.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(REPO / "workspace.yaml")]
    os.execve(sys.executable, [*command, "--host", HOST, "--port", str(port)], environment)


def require_free(port: int) -> None:
    """Check that no program listens on the port.

    Raises:
        T2SError: if a program does, or if this user may not open the port.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise T2SError(
                f"Port {port} on {HOST} cannot be used ({error.strerror}). "
                f"Stop the program that listens there, or use another port: make ui PORT={port + 1}"
            ) from error
