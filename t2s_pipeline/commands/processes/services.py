"""`dagster dev` with our guarded web server: the program that `t2s ui` starts. It takes the arguments of `dagster dev`.

`dagster dev` starts its web server as ``python -m dagster_webserver``. It offers no way to put anything before it, so
the name of the module is replaced where the process is started. If a release of Dagster starts its web server in
another way, nothing is served.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

UNGUARDED = "dagster_webserver"
GUARDED = "t2s_pipeline.commands.processes.web_server"


def main() -> None:
    """Start the services and wait until they end.

    Raises:
        AttributeError: if this release of Dagster starts processes in another way. Nothing is served then.
    """
    command_line: Any = importlib.import_module("dagster._cli")
    dev: Any = importlib.import_module("dagster._cli.dev")
    start = dev.open_ipc_subprocess

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        """The same process, with the web server's module replaced; the daemon's stays."""
        names = list(parts)
        if names[1:3] == ["-m", UNGUARDED]:
            names[2] = GUARDED
        elif UNGUARDED.replace("_", "-") in names[0] or UNGUARDED in names:
            raise RuntimeError(f"`dagster dev` starts its web server as {names[:3]}, which is not guarded.")
        return start(names, **options)

    dev.open_ipc_subprocess = start_guarded
    sys.argv = ["dagster", "dev", *sys.argv[1:]]
    command_line.main()


if __name__ == "__main__":
    main()
