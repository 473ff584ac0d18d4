"""RemoteReasoner's labels: a box around each connected region of the mask. Their converter is not published."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.label import Label, Labelling, Mask, on_square


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
        regions, areas = self._regions(mask)
        return [regions == number for number in areas]

    def label(self, mask: Mask) -> list[Label]:
        """A label without points for each 8-connected region of a mask, bool (H, W), by first pixel in row order."""
        regions, areas = self._regions(mask)
        boxes = scipy.ndimage.find_objects(regions)
        labels = []
        for number, area in areas.items():
            rows, columns = boxes[number - 1]
            labels.append(Label((columns.start, rows.start, columns.stop - 1, rows.stop - 1), (), area))
        return labels

    def _regions(self, mask: Mask) -> tuple[npt.NDArray[np.signedinteger], dict[int, int]]:
        """The numbered regions (side, side), and by number the area of each region that is no speck."""
        square = on_square(mask, self.side)
        regions, count = scipy.ndimage.label(square, np.ones((3, 3)))
        areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        large = np.flatnonzero(areas >= self.least_share * square.size).tolist()
        if count and not large:
            large = [int(areas.argmax())]
        return regions, {index + 1: int(areas[index]) for index in large}
