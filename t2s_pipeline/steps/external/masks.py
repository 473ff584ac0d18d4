"""Masks that another project predicted: a folder of files, a COCO results file, or a Parquet table.

* **Folder:** ``<sample_id>.png``, or ``<sample_id>/<question index>.png`` where a sample has several questions
  (``external/mask_files.py``).
* **COCO results** (``.json``): a list of ``{"sample_id": …, "segmentation": …}``, or an object with such a list under
  ``annotations``. ``image_id`` is accepted in place of ``sample_id``. The entries of one sample are united. A
  segmentation is run lengths in any of the forms of ``external/run_length_forms.py``, or polygons; ``null`` says that
  there is no target. ``question_index`` and ``score`` are optional.
* **Parquet:** columns ``sample_id``, ``mask`` (a segmentation as above; null says that there is no target), and
  optionally ``question_index`` and ``score``.

Every entry is checked. An entry that cannot be read is returned with its reason.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.coco import read_json
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, MaskOptions, PredictionReject, Size
from t2s_pipeline.steps.external.mask_entries import json_entries, masks_of, table_entries
from t2s_pipeline.steps.external.mask_files import NO_PLACES, folder_masks
from t2s_pipeline.vision.place import Place


def read_masks(
    path: Path,
    sizes: dict[str, Size],
    options: MaskOptions | None = None,
    places: Mapping[str, Place] = NO_PLACES,
) -> Iterator[ForeignMask | PredictionReject]:
    """Every entry of the folder or file, in a fixed order.

    Args:
        path: a folder, a ``.json`` file or a ``.parquet`` file.
        sizes: native height and width of each sample of the split that is scored, by sample_id. Polygons are rendered
            at that size. The sample ids tell ``<sample_id>/<question index>.png`` from a sample id with a slash.
        options: what decides where the files alone do not.
        places: where the images of samples lie on Earth, by sample_id. A GeoTIFF on another grid is warped to it.

    Raises:
        InputError: if the path has none of these forms, or the file as a whole cannot be read.
    """
    options = options or MaskOptions()
    if path.is_dir():
        return folder_masks(path, sizes, options, places)
    match path.suffix.lower():
        case ".json":
            return masks_of(json_entries(path, read_json(path)), sizes, options, unite=True)
        case ".parquet":
            return masks_of(table_entries(path), sizes, options, unite=options.objects)
    raise InputError(f"{path} is not a folder of masks, a .json file or a .parquet file: give one of these.")
