"""Your own georeferenced images, and polygons on the map with a text: GeoPackage, GeoJSON or shapefile.

Scenes are cut into chips, which keep their place on Earth. A sample is a class in a chip (all polygons of one text, and
the text is the question), or one polygon in a chip. Scenes in folders named train, val or test belong to that split, so
that no place is in two splits.

The libraries for maps are imported when such a dataset is read.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.annotated_images import UniqueIds
from t2s_pipeline.datasets.dataset import dataset_name
from t2s_pipeline.datasets.layout import (
    IMAGE_ENDINGS,
    SPLITS,
    composed,
    is_clutter,
    names_below,
    require_folder,
    split_of,
)
from t2s_pipeline.datasets.records import NoteRecord, Record, RejectRecord, chip_record, sample_record
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, PixelRules

if TYPE_CHECKING:
    from t2s_pipeline.datasets.map_chips import Chip, Coverage
    from t2s_pipeline.datasets.vector_layer import VectorLayer

PER = ("class", "feature")
"""What becomes a sample: the polygons of one text in a chip, or each polygon in a chip."""

SMALLEST_CHIP = 32


@dataclass(frozen=True)
class ChipTarget:
    """A target in a chip: its id, its question, and the numbers and rows of its polygons."""

    sample_id: str
    question: str
    numbers: tuple[int, ...]
    rows: tuple[str, ...]


@dataclass(frozen=True)
class ChipSource:
    """A chip and its targets. Without a chip it holds what was set aside or is noted."""

    image_id: str = ""
    chip: "Chip | None" = None
    targets: tuple[ChipTarget, ...] = ()
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class CustomVectors:
    """The reader; both paths are absolute.

    Attributes:
        images: the folder of the scenes.
        vectors: the file with the polygons.
        field: the column that holds the question or the class.
        split: of scenes that lie in no folder of a split's name.
        layer: of the file; empty if it has one.
        per: what becomes a sample, one of ``PER``.
        chip: the side of a chip in pixels; 0: a scene is one image.
        overlap: the pixels that neighbouring chips share.
        encoding: of a shapefile's texts; empty: as the file says.
        rules: the bands of the scenes.

    Raises:
        InputError: if the numbers cannot be used.
    """

    images: Path
    vectors: Path
    field: str
    split: str
    layer: str = ""
    per: str = PER[0]
    chip: int = 0
    overlap: int = 0
    encoding: str = ""
    rules: PixelRules = AS_FILES_SAY

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.per not in PER:
            raise InputError(f"--per {self.per}: give {' or '.join(PER)}.")
        if self.chip and self.chip < SMALLEST_CHIP:
            raise InputError(f"A chip of {self.chip} pixels is too small: give --chip at least {SMALLEST_CHIP}.")
        if not 0 <= self.overlap <= self.chip // 2:
            raise InputError(
                f"Chips of {self.chip} pixels cannot overlap by {self.overlap}: give --overlap from 0 to "
                f"{self.chip // 2}."
                if self.chip
                else "--overlap needs --chip: say how large the chips are that overlap."
            )

    def splits(self, root: Path) -> list[str]:
        """The splits of the scenes; the reader's own if there is no scene."""
        stated = {split for split, _ in self._scenes()}
        return [split for split in SPLITS if split in stated] or [self.split]

    def files(self, root: Path, split: str) -> list[str]:
        """The vectors, the scenes of all splits, and the files beside them (.prj, .tfw, .aux.xml), below the root."""
        return names_below(root, [*_with_companions(self.vectors), *self._all_files()])

    def sources(self, root: Path, split: str) -> list[ChipSource]:
        """The chips of the split that hold targets, after what is set aside.

        Raises:
            InputError: if the folder or the vectors cannot be used, or no polygon lies in a scene.
        """
        from t2s_pipeline.datasets.map_chips import Coverage, Cutting
        from t2s_pipeline.datasets.vector_layer import read_layer

        require_folder(self.images, "give the folder of the images with --images.")
        layer = read_layer(self.vectors, self.field, self.layer, self.encoding)
        cutting = Cutting(self.chip, self.overlap, self.rules.bands)
        is_first = split == self.splits(root)[0]
        coverage, elsewhere = Coverage(), Coverage()
        scenes = list(self._scenes())
        chips = list(cutting.chips(root, (path for of, path in scenes if of == split), layer, coverage))
        if is_first:  # a polygon that lies in no scene is reported once, with the first split that is read
            for _ in cutting.chips(root, (path for of, path in scenes if of != split), layer, elsewhere):
                pass
        if not coverage.used | elsewhere.used:
            self._require_scenes(coverage, bool(scenes))
            if is_first:
                raise InputError(
                    f"None of the {len(layer.features) + len(layer.rejects):,} features of {self.vectors} has a pixel "
                    f"in a scene of {self.images}: check the coordinate reference systems of both."
                )
        notes = [NoteRecord(name, "scene", text, is_warning=True) for name, text in coverage.notes]
        records: list[Record] = [*coverage.rejects, *notes]
        if is_first:
            records += [*layer.rejects, *layer.notes, *_uncovered(layer, coverage, elsewhere)]
        records.append(self._summary(layer, coverage, len(chips)))
        return [ChipSource(records=tuple(records)), *self._with_targets(chips, layer)]

    def read(self, root: Path, source: ChipSource) -> list[Record]:
        """The chip as a picture, and its samples."""
        if source.chip is None:
            return list(source.records)
        from t2s_pipeline.datasets.map_chips import DRIVERS, burnt
        from t2s_pipeline.vision.scene import open_scene

        chip = source.chip
        try:
            with open_scene(chip.path, self.rules.bands, DRIVERS, chip.stretch) as scene:
                pixels, present = scene.read(chip.view)
                scene.require_unchanged()
        except InputError as fault:
            rows = dict.fromkeys(row for target in source.targets for row in target.rows)
            return [RejectRecord(row, "corrupt_image", f"{chip.name}: {fault}") for row in rows]
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        image = chip_record(
            source.image_id, chip.name, buffer.getvalue(), chip.view.width, chip.view.height, chip.place
        )
        samples = []
        for target in source.targets:
            mask = burnt([chip.outlines[number] for number in target.numbers], chip.view) & present
            samples.append(
                sample_record(target.sample_id, source.image_id, target.question, (target.question,), (), mask)
            )
        return [image, *samples]

    def _scenes(self) -> Iterator[tuple[str, Path]]:
        """The split and path of each scene, in the order of their names."""
        for path in self._all_files():
            if path.suffix.lower() in IMAGE_ENDINGS:
                top = path.relative_to(self.images).parts[0]
                is_in_folder = path.parent != self.images
                yield (split_of(top) if is_in_folder else None) or self.split, path

    def _all_files(self) -> list[Path]:
        """Every file below the folder of images."""
        files: list[Path] = []
        for folder, folders, names in os.walk(self.images):
            folders[:] = [name for name in folders if not is_clutter(name)]
            files += (Path(folder, name) for name in names if not is_clutter(name))
        return sorted(files)

    def _require_scenes(self, coverage: "Coverage", has_scenes: bool) -> None:
        """Say why there is no scene to look into.

        Raises:
            InputError: if no scene can be used.
        """
        if not has_scenes:
            raise InputError(f"{self.images} holds no image ({', '.join(sorted(IMAGE_ENDINGS))}).")
        if not coverage.scenes and coverage.rejects:
            first = coverage.rejects[0]
            raise InputError(
                f"No image of {self.images} can be laid under the vectors. The first, {first.source}: {first.detail}"
            )

    def _summary(self, layer: "VectorLayer", coverage: "Coverage", chips: int) -> NoteRecord:
        total = len(layer.features) + len(layer.rejects)
        detail = f"{len(coverage.used):,} of {total:,} features in {chips:,} chips of {coverage.scenes:,} scenes"
        return NoteRecord(self.vectors.name, "features", detail, is_warning=False)

    def _with_targets(self, chips: "list[Chip]", layer: "VectorLayer") -> Iterator[ChipSource]:
        """The chips with their ids and those of their targets."""
        image_ids, sample_ids = UniqueIds(), UniqueIds()
        for chip in chips:
            is_cut = "#" in chip.name
            window = f"_x{chip.view.x}_y{chip.view.y}" if is_cut else ""
            image_id = image_ids.unique(f"{composed(chip.path.stem)}{window}")
            groups: dict[tuple[str, int], list[int]] = {}
            for number in chip.outlines:
                key = (layer.features[number].text, number if self.per == "feature" else 0)
                groups.setdefault(key, []).append(number)
            targets = []
            for (text, _), numbers in groups.items():
                rows = tuple(layer.features[number].row for number in numbers)
                end = rows[0].rpartition("#")[2] if self.per == "feature" else dataset_name(text)[:48]
                targets.append(ChipTarget(sample_ids.unique(f"{image_id}-{end}"), text, tuple(numbers), rows))
            yield ChipSource(image_id, chip, tuple(targets))


def _uncovered(layer: "VectorLayer", *coverages: "Coverage") -> Iterator[RejectRecord]:
    """A reject for each polygon that has no pixel in any chip."""
    used = set[int]().union(*(coverage.used for coverage in coverages))
    inside = set[int]().union(*(coverage.inside for coverage in coverages))
    for number, feature in enumerate(layer.features):
        if number in used:
            continue
        if number in inside:
            detail = "no centre of a pixel that has a value lies in it"
            yield RejectRecord(feature.row, "covers_no_pixel", detail)
        else:
            yield RejectRecord(feature.row, "outside_of_scenes", "no scene covers it")


def _with_companions(path: Path) -> list[Path]:
    """A shapefile with the files of its name beside it; any other file alone."""
    if path.suffix.lower() != ".shp":
        return [path]
    return sorted(file for file in path.parent.iterdir() if file.stem == path.stem and file.is_file())
