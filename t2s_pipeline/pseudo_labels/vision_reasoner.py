"""VisionReasoner's labels, as the paper adapts them: DBSCAN splits the mask, each cluster gets a box and a point."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.dbscan import dbscan
from t2s_pipeline.pseudo_labels.label import Label, Labelling, Mask, edge_distance, on_square, within


@dataclass(frozen=True)
class VisionReasonerLabels(Labelling):
    """Made at the square's size. ``eps`` and ``min_samples`` are not published: these are our choice."""

    eps: float = 5.0
    """Pixels of the square."""
    min_samples: int = 10
    """Pixels within ``eps`` of a core, itself included."""

    name: ClassVar[str] = "vision-reasoner"

    def __post_init__(self) -> None:
        if not self.eps > 0 or self.min_samples < 1:
            raise InputError(f"eps must be above 0 and min_samples at least 1, not {self.eps} and {self.min_samples}.")

    def instances(self, mask: Mask) -> list[Mask]:
        """The clusters that are labelled, bool (side, side) each."""
        clusters = dbscan(on_square(mask, self.side), self.eps, self.min_samples)
        return [clusters == number for number in range(int(clusters.max()) + 1)]

    def label(self, mask: Mask) -> list[Label]:
        """A label for each cluster of a mask, bool (H, W), in the clusters' order; noise gets none."""
        clusters = dbscan(on_square(mask, self.side), self.eps, self.min_samples)
        slices = scipy.ndimage.find_objects(clusters + 1)
        return [_of_cluster(clusters, number, rows, columns) for number, (rows, columns) in enumerate(slices)]


def _of_cluster(clusters: npt.NDArray[np.int32], number: int, rows: slice, columns: slice) -> Label:
    """The label of a cluster: its tight box, given by the slices, and its pixel farthest from its edge."""
    part_rows, part_columns = within(rows, columns)
    part = clusters[part_rows, part_columns] == number
    y, x = np.unravel_index(int(edge_distance(part).argmax()), part.shape)
    box = (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
    point = (int(x) + part_columns.start, int(y) + part_rows.start)
    return Label(box, (point,), int(np.count_nonzero(part)))
