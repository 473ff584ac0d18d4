"""The first steps: the embedded scenes become files, and a dataset's files become tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.distribution.pools import cluster_of
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import ingest
from t2s_pipeline.datasets.catalog import find_dataset
from t2s_pipeline.datasets.loss import refuse_loss
from t2s_pipeline.datasets.reading import SplitFiles, require_unchanged, split_files
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.steps.fingerprints import reader_fingerprint
from t2s_pipeline.steps.runner import step_fingerprint
from t2s_pipeline.steps.step import Context, LakePartition, Step, StepReport
from t2s_pipeline.vision.image_files import ReadFile


@dataclass(frozen=True)
class SyntheticScenes(Step):
    """Paint the embedded scenes, in EarthReason's layout; ``train``, ``val`` and ``test`` count the scenes."""

    train: int = 1200
    val: int = 200
    test: int = 200

    name: ClassVar[str] = "synthetic_scenes"
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
    """Read a split of a dataset into images, samples, selections, rejects and notes.

    Attributes:
        dataset: the name of the dataset.
        split: train, val or test.
        accept_loss: replace the split also by far fewer samples from the same folder.
        files: the files, if they are hashed already.
    """

    dataset: str
    split: str
    accept_loss: bool = field(default=False, compare=False)
    files: SplitFiles | None = field(default=None, compare=False, repr=False)

    name: ClassVar[str] = "tables"
    code: ClassVar[str] = "datasets.ingest"

    def writes(self) -> Sequence[LakePartition]:
        """The tables of the split."""
        partition = {"dataset": self.dataset, "split": self.split}
        return [LakePartition(table, partition) for table in ingest.TABLES]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The contents of all files of the split, and how they are read."""
        source = find_dataset(context.settings, self.dataset)
        files = self.files or split_files(source, self.split, context.progress)
        return {
            "files": files.fingerprint,
            "dataset": self.dataset,
            "reader": reader_fingerprint(type(source.reader).__module__),
            "parameters": source.parameters,
        }

    def work(self, context: Context, fingerprint: str) -> None:
        """Read the split; the tables change together.

        Raises:
            InputError: if files changed or disappeared since the fingerprint was made, or the split would lose many of
                its samples. The tables stay as they were.
        """
        source = find_dataset(context.settings, self.dataset)
        lake = context.settings.lake

        def check(read: Mapping[Path, ReadFile], samples: int) -> None:
            files = split_files(find_dataset(context.settings, self.dataset), self.split, read=read)
            require_unchanged(source, files, read)
            if step_fingerprint(replace(self, files=files), context) != fingerprint:
                raise InputError(
                    f"Files of {self.dataset} {self.split} in {source.root} changed while they were read: the tables "
                    "stay as they were. Run the same command again when nothing writes there."
                )
            if not self.accept_loss:
                refuse_loss(lake, source, self.split, samples)

        cluster = cluster_of(context.settings)
        ingest.ingest_split(lake, source, self.split, fingerprint, context.progress, check, cluster)
