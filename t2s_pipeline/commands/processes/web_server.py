"""Dagster's web server behind ``RequestGuard``: ``services.py`` starts it in place of ``python -m dagster_webserver``.

The arguments are those of ``dagster-webserver``. The environment variables ``T2S_UI_TOKEN`` and ``T2S_UI_HOSTS`` hold
the token, and further host names that are separated by commas.
"""

import importlib
import os
from typing import Any

from t2s_pipeline.commands.request_guard import RequestGuard
from t2s_pipeline.commands.ui import HOSTS, TOKEN


def main() -> None:
    """Serve the web UI.

    Raises:
        AttributeError: if this release of Dagster makes its application in another place. Nothing is served then.
    """
    cli: Any = importlib.import_module("dagster_webserver.cli")
    token, names = os.environ.pop(TOKEN), os.environ.get(HOSTS, "")
    unguarded = cli.create_app_from_workspace_process_context

    def guarded(*arguments: Any, **options: Any) -> RequestGuard:
        return RequestGuard(unguarded(*arguments, **options), token, filter(None, names.split(",")))

    cli.create_app_from_workspace_process_context = guarded
    cli.main()


if __name__ == "__main__":
    main()
