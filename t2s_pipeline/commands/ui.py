"""`t2s ui`: Dagster's web UI and daemon on this machine, with the history of earlier runs."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.interrupts import INTERRUPTS, interrupts_held
from t2s_pipeline.core.parent_death import signal_when_parent_ends
from t2s_pipeline.core.settings import REPO, Settings

HOST = "127.0.0.1"
TOKEN, HOSTS = "T2S_UI_TOKEN", "T2S_UI_HOSTS"
"""Environment variables of the web server: its token, and further host names that are separated by commas."""
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="Answer requests for this host name too: that of a proxy of yours. Can be given several times.",
    ),
]


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 3000,
    allow_host: AllowedHosts = None,
) -> None:
    """Serve Dagster's web UI until Ctrl-C. Runs, logs and assets are kept for the next start.

    Only pages of the UI and programs with its token (the file T2S_HOME/ui_token) can change anything: docs/security.md.
    """
    from t2s_pipeline.commands.catalog import start_recording
    from t2s_pipeline.commands.instance import create_history, prepare

    require_free(port)
    settings = Settings.from_env()
    environment = prepare(settings)
    create_history(settings, environment)
    start_recording(settings)
    # `dagster dev` prints on every start that another package has a newer command.
    environment["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded:FutureWarning"
    environment |= {TOKEN: new_token(settings.home / "ui_token"), HOSTS: ",".join(allow_host or ())}
    print(f"Dagster's web UI: http://{HOST}:{port} (Ctrl-C stops it)", flush=True)
    command = [sys.executable, "-m", "t2s_pipeline.commands.processes.services"]
    command += ["--workspace", str(REPO / "workspace.yaml")]
    services = Services([*command, "--host", HOST, "--port", str(port)], environment, settings.logs / "ui.log")
    if not services.serve():
        raise T2SError(f"Dagster's services have ended. Their output is above and in {services.log}.")


def new_token(file: Path) -> str:
    """A new token of the web UI, which replaces the one in the file. Only this user can read the file."""
    token = secrets.token_urlsafe(32)
    with atomic_file(file) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(f"{token}\n", "ascii")
    return token


def _hear_interrupts() -> None:
    """Let this process be interrupted with SIGINT, and by the end of its parent.

    A script's background job ignores SIGINT, and so would all that it starts.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal_when_parent_ends(signal.SIGINT)


class Services:
    """Dagster's web server, daemon and code server, which `dagster dev` starts and stops."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Start them.

        They have a session of their own, so that Ctrl-C in the terminal reaches this process only, and not each of them
        in the middle of its work.

        Args:
            command: of `dagster dev`.
            environment: its environment variables, with DAGSTER_HOME.
            log: the file for what they print while they are being stopped.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._stopping = threading.Event()
        with interrupts_held():
            self._process = subprocess.Popen(
                command,
                # Not in the checkout: Dagster would warn about the dagster.yaml there, which is in use as a copy.
                cwd=environment["DAGSTER_HOME"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_hear_interrupts,
            )

    def serve(self) -> bool:
        """Copy their output until they have ended; return whether they were asked to end.

        SIGINT, SIGTERM and SIGHUP ask them; the second signal ends them at once.
        """
        for number in INTERRUPTS:
            signal.signal(number, self._stop)
        copying = threading.Thread(target=self._copy, daemon=True, name="output of Dagster's services")
        copying.start()
        self._process.wait()
        copying.join(timeout=1.0)
        return self._stopping.is_set()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopping.is_set():
            os.killpg(self._process.pid, signal.SIGKILL)
            return
        self._stopping.set()
        print("Stopping the web UI. Ctrl-C again ends it at once.", flush=True)
        # `dagster dev` stops its services and their runs with this signal.
        self._process.send_signal(signal.SIGINT)

    def _copy(self) -> None:
        """Print the output; from the request to stop on, write it to the log: tracebacks of interrupted services."""
        assert self._process.stdout is not None
        with self.log.open("ab") as log:
            for line in self._process.stdout:
                output = log if self._stopping.is_set() else sys.stdout.buffer
                output.write(line)
                output.flush()


def require_free(port: int, command: str = "make ui") -> None:
    """Check that no program listens on the port.

    Args:
        port: on this machine.
        command: what a person starts again with another port.

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
                f"Stop the program that listens there, or use another port: {command} PORT={port + 1}"
            ) from error
