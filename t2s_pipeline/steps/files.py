"""The first steps: the embedded scenes become files, and a dataset's files become tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.datasets import ingest
from t2s_pipeline.datasets.catalog import find_dataset
from t2s_pipeline.datasets.reading import split_fingerprint
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.steps.fingerprints import reader_fingerprint
from t2s_pipeline.steps.step import Context, LakePartition, Step, StepReport


@dataclass(frozen=True)
class Scenes(Step):
    """Paint the embedded scenes, in EarthReason's layout; ``train``, ``val`` and ``test`` count the scenes."""

    train: int = 1200
    val: int = 200
    test: int = 200

    name: ClassVar[str] = "scenes"
    code: ClassVar[str] = "datasets.synthetic.layout"

    @property
    def counts(self) -> dict[str, int]:
        """Scenes per split."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def writes(self) -> Sequence[LakePartition]:
        """Nothing in the lake: the scenes are files."""
        return ()

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The counts."""
        return {"counts": self.counts}

    def finished(self, context: Context) -> str | None:
        """The fingerprint beside the scenes; None if they are not there whole."""
        path = _fingerprint_file(context)
        if not path.is_file() or not (context.settings.scenes / "complete.json").is_file():
            return None
        return path.read_text("utf-8")

    def work(self, context: Context, fingerprint: str) -> None:
        """Paint all scenes."""
        write_scenes(context.settings.scenes, **self.counts, progress=False, fresh=True)
        with atomic_file(_fingerprint_file(context)) as temporary:
            temporary.write_text(fingerprint)

    def reports(self, context: Context, skipped: bool) -> list[StepReport]:
        """One report with the counts."""
        return [StepReport(self.name, {}, sum(self.counts.values()), skipped, {**self.counts})]


def _fingerprint_file(context: Context) -> Path:
    scenes = context.settings.scenes
    return scenes.with_name(f"{scenes.name}.made-from")


@dataclass(frozen=True)
class ReadTables(Step):
    """Read a split of a dataset into images, samples, selections, rejects and notes."""

    dataset: str
    split: str

    name: ClassVar[str] = "tables"
    code: ClassVar[str] = "datasets.ingest"

    def writes(self) -> Sequence[LakePartition]:
        """The tables of the split."""
        partition = {"dataset": self.dataset, "split": self.split}
        return [LakePartition(table, partition) for table in ingest.TABLES]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The contents of all files of the split, and how they are read."""
        source = find_dataset(context.settings, self.dataset)
        return {
            "files": split_fingerprint(source, self.split, context.progress),
            "dataset": self.dataset,
            "reader": reader_fingerprint(type(source.reader).__module__),
            "parameters": source.parameters,
        }

    def work(self, context: Context, fingerprint: str) -> None:
        """Read the split; the tables change together."""
        source = find_dataset(context.settings, self.dataset)
        ingest.ingest_split(context.settings.lake, source, self.split, fingerprint, context.progress)
