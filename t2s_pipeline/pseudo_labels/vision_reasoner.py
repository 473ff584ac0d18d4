"""VisionReasoner's labels, as the paper adapts them: DBSCAN splits the mask, each cluster gets a box and a point."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.dbscan import dbscan
from t2s_pipeline.pseudo_labels.label import Label, Labelling, Mask, PixelBox, edge_distance, on_square, within
from t2s_pipeline.pseudo_labels.runs import numbered_runs


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
        runs, numbers = numbered_runs(clusters)
        return [_of_cluster(clusters, number, box) for number, box in enumerate(runs.boxes(numbers))]


def _of_cluster(clusters: npt.NDArray[np.int32], number: int, box: PixelBox) -> Label:
    """The label of a cluster: its tight box, and its pixel farthest from its edge."""
    x0, y0, x1, y1 = box
    rows, columns = within(slice(y0, y1 + 1), slice(x0, x1 + 1))
    part = clusters[rows, columns] == number
    y, x = np.unravel_index(int(edge_distance(part).argmax()), part.shape)
    point = (int(x) + columns.start, int(y) + rows.start)
    return Label(box, (point,), int(np.count_nonzero(part)))
