"""Modules outside of the package that register objects, and processes that import them."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.registry import EXTENSIONS
from t2s_pipeline.core.settings import REPO


@dataclass(frozen=True)
class Outside:
    """A T2S_HOME, and a folder on PYTHONPATH with modules that ``T2S_EXTENSIONS`` names."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def module(self, name: str, source: str) -> None:
        """Write a module. Processes that are started later import it."""
        (self.modules / f"{name}.py").write_text(source, "utf-8")

    @property
    def modules(self) -> Path:
        path = self.folder / "modules"
        path.mkdir(exist_ok=True)
        return path

    def run(self, *command: object, **variables: object) -> str:
        """Run ``python`` with these arguments and more environment variables; return what it prints."""
        environment = {
            **os.environ,
            "T2S_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join([str(self.modules), str(REPO)]),
            EXTENSIONS: ",".join(sorted(path.stem for path in self.modules.glob("*.py"))),
            "COLUMNS": "200",
            **{name: str(value) for name, value in variables.items()},
        }
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=REPO, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def t2s(self, *arguments: object, **variables: object) -> str:
        """Run the command line in a process of its own; return what it prints."""
        return self.run("-m", "t2s_pipeline.cli", *arguments, **variables)

    def rows(self, query: str) -> list[dict[str, object]]:
        """The answer to a question about the tables."""
        rows: list[dict[str, object]] = json.loads(self.t2s("sql", query, "--json"))
        return rows


MODELS = '''
"""A prompter family that this package does not have, and the embedded segmenter's network under another name."""

from t2s_pipeline.prompters.families import FAMILIES, QWEN_ENDS, Family, PublishedModel
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.segmenters.registry import SEGMENTERS, Segmenter


def build():
    from t2s_pipeline.segmenters.miniature import build

    return build()


FAMILIES.register(
    Family(
        name="Qwen2-VL",
        model_type="qwen2_vl",
        model="Qwen2VLForConditionalGeneration",
        processor="Qwen2VLProcessor",
        side=840,
        native=Coordinates.THOUSANDTHS,
        end_tokens=QWEN_ENDS,
        models=(PublishedModel("qwen2-vl-2b", "Qwen/Qwen2-VL-2B-Instruct", "0" * 40),),
    )
)
SEGMENTERS.register(Segmenter("my-sam", build, 128))
'''
