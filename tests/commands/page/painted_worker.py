"""A worker without torch: it finds painted objects by their colour. Its thought and text hold HTML.

It runs as the interpreter of the worker (T2S_WORKER_PYTHON), so its arguments begin with ``-u -m t2s_pipeline.worker``.
A question with the word ``wait`` is answered when the worker is stopped.
"""

import signal
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.scenes.painted import ByColour

HOSTILE = """<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>"""


class PaintedAnswerer(ByColour):
    """Takes the arguments of ``SystemAnswerer``."""

    tile = 128
    segmenter = prompter = types.SimpleNamespace(sha256="0" * 64)

    def __init__(self, system, device) -> None:
        super().__init__()

    def ask(self, images, question):
        if "wait" in question:
            signal.pause()
        if "ridge" in question:
            return [replace(reading, objects=()) for reading in super().ask(images, question)]
        return [replace(reading, thought=HOSTILE, text=HOSTILE) for reading in super().ask(images, question)]


def run(arguments: Sequence[str]) -> int:
    """The command ``ask``."""
    models = types.ModuleType("t2s_pipeline.scenes.system_answerer")
    models.SystemAnswerer = PaintedAnswerer
    sys.modules[models.__name__] = models
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.scenes.worker import answer_requests

    answer_requests(Path(arguments[arguments.index("--requests") + 1]), StderrProgress(), "cpu")
    return 0


def main() -> int:
    """Serve."""
    from t2s_pipeline.worker import tether
    from t2s_pipeline.worker.serve import serve

    tether.hold(grace=60)
    return serve(run)


if __name__ == "__main__":
    sys.exit(main())
