"""A mask beside its picture: pixel by pixel, or warped where both files say that they have different grids."""

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.labels import LabelFile, place_notes
from t2s_pipeline.vision.pictures import Picture
from t2s_pipeline.vision.pixel_rules import Note
from t2s_pipeline.vision.place import warped


def on_grid_of(picture: Picture, label: LabelFile, name: str) -> tuple[NDArray[np.bool_], list[Note]]:
    """The mask on the grid of its picture, bool (H, W), and what is special about it.

    If both files state a CRS, and their grids differ by more than half a pixel at a corner, the mask is warped: each
    pixel of the picture has the value of the mask at its centre. Otherwise the mask is read pixel by pixel.

    Args:
        picture: the picture.
        label: its mask.
        name: what messages call the mask.

    Raises:
        UnusableFileError: reason ``size_mismatch``; reason ``other_place`` if the mask has no pixel in the picture.
    """
    size = picture.height, picture.width
    height, width = label.mask.shape
    if label.place and picture.place and not label.place.is_like(picture.place, (height, width), size):
        mask = warped(label.mask, label.place, picture.place, size)
        if mask is None:
            raise UnusableFileError("other_place", f"{name} lies elsewhere on Earth than its image")
        detail = f"{width}×{height} pixels in {label.place.named_crs[:40]}: warped to the grid of its image"
        return mask, [*(note for note in label.notes if note.kind != "south_up"), Note("warped", detail)]
    if (height, width) != size:
        detail = f"{name} is {width}×{height}, image {picture.width}×{picture.height}"
        raise UnusableFileError("size_mismatch", detail)
    notes = [] if label.place and picture.place else place_notes(label.grid, picture.grid, width, height)
    return label.mask, [*label.notes, *notes]
