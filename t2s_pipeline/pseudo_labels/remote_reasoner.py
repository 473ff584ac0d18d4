"""RemoteReasoner's labels: a box around each connected region of the mask. Their converter is not published."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.label import Label, on_square
from t2s_pipeline.vision.geometry import FULL_SIDE


@dataclass(frozen=True)
class RemoteReasonerLabels:
    """Made at the square's size. Connectivity and the least size of a region are our choice."""

    side: int = FULL_SIDE
    """Of the square whose pixels the labels are in."""
    least_share: float = 0.0005
    """Of the image; smaller regions are specks and left out, unless there is nothing else: then the largest stays."""

    name = "remote-reasoner"

    def __post_init__(self) -> None:
        if not 0 <= self.least_share < 1:
            raise InputError(f"least_share is a share of the image below 1, not {self.least_share}.")

    def instances(self, mask: np.ndarray) -> list[np.ndarray]:
        """The regions that are labelled, bool (side, side) each."""
        regions, areas = self._regions(mask)
        return [regions == number for number in areas]

    def label(self, mask: np.ndarray) -> list[Label]:
        """A label without points for each 8-connected region of a mask, bool (H, W), by first pixel in row order."""
        regions, areas = self._regions(mask)
        boxes = ndimage.find_objects(regions)
        labels = []
        for number, area in areas.items():
            rows, columns = boxes[number - 1]
            labels.append(Label((columns.start, rows.start, columns.stop - 1, rows.stop - 1), (), area))
        return labels

    def _regions(self, mask: np.ndarray) -> tuple[np.ndarray, dict[int, int]]:
        """The numbered regions (side, side), and the area of each that is no speck by its number."""
        square = on_square(mask, self.side)
        regions, count = ndimage.label(square, np.ones((3, 3)))
        areas = np.bincount(regions.ravel(), minlength=count + 1)[1:]
        kept = np.flatnonzero(areas >= self.least_share * square.size)
        if count and not kept.size:
            kept = [areas.argmax()]
        return regions, {int(index) + 1: int(areas[index]) for index in kept}
