"""A worker that needs no torch: it writes the partitions that the real one would, with answers made up.

For tests of what decides whether work is done. What the real worker does is tested with the real one.
"""

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.registry import methods_with_labels
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.steps.fingerprints import known_sha256
from t2s_pipeline.training.continuation import changes, record_start, require_continuable, settings_to_train
from t2s_pipeline.training.run_folder import RunFolder
from t2s_pipeline.vision import masks
from t2s_pipeline.worker import tether
from t2s_pipeline.worker.failures import WorkerError
from t2s_pipeline.worker.options import SERVE
from t2s_pipeline.worker.serve import serve

SQUARE = masks.encode(np.ones((168, 168), bool)).as_arrow()


@dataclass
class StandIn:
    """A ``Launch``; ``calls`` remembers each verb and what it was about."""

    settings: Settings
    home: Path = Path()
    calls: list[tuple[str, ...]] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    fresh: bool = False
    stops_at: int = 2
    """The step at which a training stops; it is finished at step 2."""
    asks: int = 1 << 30
    """The images that are asked about a scene before the worker is interrupted."""
    answerers: list[Any] = field(default_factory=list)
    """One ``ByColour`` per question about a scene."""

    def __call__(self, arguments: Sequence[str]) -> None:
        if arguments[0] == "ask":
            self.calls.append(("ask", "", ""))
            self.ask(Path(arguments[2]))
            return
        verb, *rest = (word for word in arguments if word != "--fresh")
        pairs = list(zip(rest[::2], rest[1::2], strict=True))
        options = dict(pairs)
        self.overrides = [value for key, value in pairs if key == "--set"]
        self.fresh = "--fresh" in arguments
        self.home = Path(options["--home"])
        whom = next(options[key] for key in ("--system", "--experiment", "--segmenter") if key in options)
        self.calls.append((verb, whom, options.get("--split", "")))
        getattr(self, verb.replace("-", "_"))(options, options["--fingerprint"])

    def verbs(self) -> list[str]:
        return [call[0] for call in self.calls]

    def train(self, options: dict[str, str], mark: str) -> None:
        """One checkpoint: of the next step of the run, which has two."""
        plan = settings_to_train(self.settings, options["--experiment"], self.overrides, self.fresh)
        run = RunFolder.of(plan, self.settings.home, mark, options["--code"])
        run = run.made_from(known_sha256(plan.prompter), known_sha256(plan.segmenter))
        before = None if self.fresh else run.latest()
        if before is not None:
            require_continuable(before, run.origin)
        sentences = [] if before is None else changes(before, run.origin)
        if self.fresh:
            run.set_aside()
        record_start(run.path, run.origin, before.step if before else 0, sentences)
        with run.staging() as staging:
            staged = staging / f"checkpoint-{self.stops_at}"
            staged.mkdir()
            (staged / "model.safetensors").write_bytes(mark.encode())
            run.publish(staged, self.stops_at, 2)
        if self.stops_at < 2:
            raise WorkerError("the training was interrupted")
        where = {"run": plan.run}
        steps = [{"step": 1, "reward": 0.2, "seconds": 1.0}, {"step": 2, "reward": 0.4, "seconds": 1.0}]
        self._write(schema.TRAINING_LOG, where, steps, mark)
        self._write(schema.CHECKPOINTS, where, [{"system": plan.run, "step": 2, "path": "runs"}], mark)

    def generate(self, options: dict[str, str], mark: str) -> None:
        rows = [
            {"sample_id": row["sample_id"], "question_index": index, "text": "", "tokens": 3, "finish_reason": "stop"}
            for row in self._samples(options)
            for index in range(len(row["questions"]))
        ]
        self._write(schema.COMPLETIONS, self._answers(options), rows, mark)

    def segment(self, options: dict[str, str], mark: str) -> None:
        """Every answer is the true mask."""
        rows = [
            {
                "sample_id": row["sample_id"],
                "question_index": index,
                "status": "rejected" if row["is_empty"] else "ok",
                "repaired": False,
                "side": 168,
                "mask": None if row["is_empty"] else row["mask"],
                "square_mask": None if row["is_empty"] else SQUARE,
            }
            for row in self._samples(options)
            for index in range(len(row["questions"]))
        ]
        self._write(schema.PREDICTIONS, {**self._answers(options), "segmenter": "sam2-mini"}, rows, mark)

    def ask(self, requests: Path) -> None:
        """Every blob of the painted scenes' colour is an object.

        While ``T2S_HOME/held`` exists, the search hangs after two images until its process is killed.
        """
        from tests.scenes.painted import answer_by_colour  # not every test that needs a worker needs rasterio

        is_held = (self.settings.home / "held").exists()
        try:
            self.answerers += answer_by_colour(requests, stops_at=2 if is_held else self.asks, batch=1)
        finally:
            with (self.settings.home / "asked.txt").open("a") as file:
                file.writelines(f"{len(answerer.asked)}\n" for answerer in self.answerers)
            while is_held:
                signal.pause()

    def judge_labels(self, options: dict[str, str], mark: str) -> None:
        """Every label draws the true mask."""
        where = {"segmenter": options["--segmenter"], "dataset": options["--dataset"], "split": options["--split"]}
        for method in (*methods_with_labels(), SEARCH):
            rows = [
                {"sample_id": row["sample_id"], "image_id": row["image_id"], "prompt_combination": name}
                | {"gt_empty": row["is_empty"], "objects": 0, "prompts": [], "side": 840, "mask": row["mask"]}
                | {"intersection": row["mask_area"], "union": row["mask_area"], "iou": 1.0}
                for row in self._samples(options)
                for name in {"bbox", method} - {SEARCH}
            ]
            self._write(schema.LABEL_QUALITY, {"method": method, **where}, rows, mark)

    def _samples(self, options: dict[str, str]) -> list[dict]:
        where = {"dataset": options["--dataset"], "split": options["--split"]}
        return read_partition(self.home / "lake", schema.SAMPLES, where).to_pylist()

    @staticmethod
    def _answers(options: dict[str, str]) -> dict[str, str]:
        return {"system": options["--system"], "dataset": options["--dataset"], "split": options["--split"]}

    def _write(self, table: Table, where: dict[str, str], rows: list[dict], mark: str) -> None:
        full = [{**dict.fromkeys(table.schema.names), **row} for row in rows]
        write_partition(self.home / "lake", table, where, pa.Table.from_pylist(full, table.schema), mark)


def _run(arguments: Sequence[str]) -> int:
    StandIn(Settings.from_env())(arguments)
    return 0


if __name__ == "__main__":
    tether.hold(1.0)
    if sys.argv[1:] == [SERVE]:
        sys.exit(serve(_run))
    _run(sys.argv[1:])
