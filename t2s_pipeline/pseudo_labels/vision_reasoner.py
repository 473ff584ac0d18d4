"""VisionReasoner's labels, as the paper adapts them: DBSCAN splits the mask, each cluster gets a box and a point."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.pseudo_labels.dbscan import clusters_of, dbscan
from t2s_pipeline.pseudo_labels.label import Label, Labelling, Mask, edge_distance_of_part, on_square
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
        square = on_square(mask, self.side)
        clusters = clusters_of(square, self.eps, self.min_samples)
        if clusters is None:
            return []
        runs, numbers = numbered_runs(clusters.numbers)
        boxes = runs.boxes(numbers)
        corners = np.array([y0 * clusters.numbers.shape[1] + x0 for x0, y0, _, _ in boxes], np.int64)
        _, positions = clusters.packed.origins(corners)
        labels = []
        for number, ((x0, y0, x1, y1), corner) in enumerate(zip(boxes, positions.tolist(), strict=True)):
            top, left = divmod(corner, self.side)
            labels.append(_of_cluster(clusters.numbers[y0 : y1 + 1, x0 : x1 + 1] == number, top, left, square.shape))
        return labels


def _of_cluster(part: Mask, top: int, left: int, shape: tuple[int, ...]) -> Label:
    """The label of a cluster: its tight box, and its pixel farthest from its edge.

    Args:
        part: the pixels of the cluster, bool (h, w), in the smallest window that holds them.
        top: the first row of the window.
        left: its first column.
        shape: of the whole image.
    """
    height, width = part.shape
    y, x = divmod(int(edge_distance_of_part(part, top, left, shape).argmax()), width)
    box = (left, top, left + width - 1, top + height - 1)
    return Label(box, ((left + x, top + y),), int(np.count_nonzero(part)))
