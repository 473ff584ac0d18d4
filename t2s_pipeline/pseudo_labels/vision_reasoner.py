"""VisionReasoner's labels, as the paper adapts them: DBSCAN splits the mask, each cluster gets a box and a point."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.dbscan import dbscan
from t2s_pipeline.pseudo_labels.label import Label, edge_distance, on_square, within
from t2s_pipeline.vision.geometry import FULL_SIDE


@dataclass(frozen=True)
class VisionReasonerLabels:
    """Made at the square's size. ``eps`` and ``min_samples`` are not published: these are our choice."""

    side: int = FULL_SIDE
    """Of the square whose pixels the labels are in."""
    eps: float = 5.0
    """Pixels of the square."""
    min_samples: int = 10
    """Pixels within ``eps`` of a core, itself included."""

    name = "vision-reasoner"

    def __post_init__(self) -> None:
        if not self.eps > 0 or self.min_samples < 1:
            raise InputError(f"eps must be above 0 and min_samples at least 1, not {self.eps} and {self.min_samples}.")

    def instances(self, mask: np.ndarray) -> list[np.ndarray]:
        """The clusters that are labelled, bool (side, side) each."""
        clusters = dbscan(on_square(mask, self.side), self.eps, self.min_samples)
        return [clusters == number for number in range(int(clusters.max()) + 1)]

    def label(self, mask: np.ndarray) -> list[Label]:
        """A label for each cluster of a mask, bool (H, W), in the clusters' order; noise is left out."""
        clusters = dbscan(on_square(mask, self.side), self.eps, self.min_samples)
        places = ndimage.find_objects(clusters + 1)
        return [_of_cluster(clusters, number, *place) for number, place in enumerate(places)]


def _of_cluster(clusters: np.ndarray, number: int, rows: slice, columns: slice) -> Label:
    """A cluster's tight box, which is given, and its pixel farthest from its edge."""
    part_rows, part_columns = within(rows, columns)
    part = clusters[part_rows, part_columns] == number
    y, x = np.unravel_index(int(edge_distance(part).argmax()), part.shape)
    box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    point = (int(x) + part_columns.start, int(y) + part_rows.start)
    return Label(box, (point,), int(np.count_nonzero(part)))
