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


def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 3000) -> None:
    """Serve the web UI until Ctrl-C. Runs, logs and assets are still there after a restart."""
    from t2s_pipeline.commands.instance import prepare

    require_free(port)
    environment = prepare(Settings.from_env())
    # `dagster dev` announces on every start that another package has a newer one.
    environment["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded:FutureWarning"
    print(f"Dagster's web UI: http://{HOST}:{port} (Ctrl-C stops it)", flush=True)
    # Not from the checkout: it would warn of the dagster.yaml there, which is the one already in use.
    os.chdir(environment["DAGSTER_HOME"])
    # A shell's background job inherits "ignore SIGINT", and Dagster stops its services and runs by that signal.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "dagster", "dev", "--workspace", str(REPO / "workspace.yaml")]
    os.execve(sys.executable, [*command, "--host", HOST, "--port", str(port)], environment)


def require_free(port: int) -> None:
    """Prove that nobody listens on the port.

    Raises:
        T2SError: if somebody does, or it is not ours to open.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise T2SError(
                f"Port {port} on {HOST} cannot be used ({os.strerror(error.errno)}): "
                f"stop what listens there, or take another one: make ui PORT={port + 1}"
            ) from error
