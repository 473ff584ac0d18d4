"""RemoteReasoner's labels: a box around each connected region of the mask. Their converter is not published."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.label import Label, Labelling, Mask, on_square
from t2s_pipeline.pseudo_labels.runs import Numbers, PixelRuns


@dataclass(frozen=True)
class RemoteReasonerLabels(Labelling):
    """Made at the square's size. Connectivity and the least size of a region are our choice."""

    least_share: float = 0.0005
    """Of the image. Smaller regions are specks and get no label, unless all are smaller: then the largest gets one."""

    name: ClassVar[str] = "remote-reasoner"

    def __post_init__(self) -> None:
        if not 0 <= self.least_share < 1:
            raise InputError(f"least_share is a share of the image below 1, not {self.least_share}.")

    def instances(self, mask: Mask) -> list[Mask]:
        """The regions that are labelled, bool (side, side) each."""
        regions = _Regions.of(on_square(mask, self.side))
        numbers = regions.runs.painted(regions.of_run)[1:-1, 1:-1]
        return [numbers == number for number in self._large(regions)]

    def label(self, mask: Mask) -> list[Label]:
        """A label without points for each 8-connected region of a mask, bool (H, W), by first pixel in row order."""
        regions = _Regions.of(on_square(mask, self.side))
        boxes = regions.runs.boxes(regions.of_run)
        labels = []
        for number in self._large(regions):
            x0, y0, x1, y1 = boxes[number]
            labels.append(Label((x0 - 1, y0 - 1, x1 - 1, y1 - 1), (), int(regions.areas[number])))
        return labels

    def _large(self, regions: "_Regions") -> list[int]:
        """The numbers of the regions that are no specks."""
        large: list[int] = np.flatnonzero(regions.areas >= self.least_share * self.side**2).tolist()
        return large or ([int(regions.areas.argmax())] if regions.areas.size else [])


@dataclass(frozen=True)
class _Regions:
    """The 8-connected regions of a mask, numbered by first pixel in row order.

    Attributes:
        runs: of the mask in a frame of one pixel.
        of_run: the number of each run's region.
        areas: the pixels of each region.
    """

    runs: PixelRuns
    of_run: Numbers
    areas: npt.NDArray[np.int64]

    @classmethod
    def of(cls, square: Mask) -> Self:
        """The regions of a mask, bool (side, side)."""
        runs = PixelRuns.of_mask(np.pad(square, 1))
        of_run = runs.components(diagonal=True)
        areas = np.zeros(int(of_run.max(initial=-1)) + 1, np.int64)
        np.add.at(areas, of_run, runs.ends - runs.starts)
        return cls(runs, of_run, areas)
