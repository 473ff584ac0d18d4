"""Any file of a dataset, of predictions or of a checkpoint gives rows, rejects or the kind of fault that is stated."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.core import arrival
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.coco import CocoMask, read_coco, stated_size
from t2s_pipeline.datasets.phrases import PhraseFiles
from t2s_pipeline.datasets.query_files import read_queries
from t2s_pipeline.steps.external.foreign_mask import MaskOptions
from t2s_pipeline.steps.external.masks import read_masks
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.training.checkpoints import MARKER
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.labels import read_label
from t2s_pipeline.vision.pictures import read_picture
from t2s_pipeline.vision.tiff_tags import tiff_tags
from tests.fuzz.cases import as_json, cases_of, damaged, damaged_bytes, only
from tests.systems.checkpoint_folders import MINI, put

SQUARE = np.indices((8, 8)).sum(0) % 3 == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


def both(document: Any) -> st.SearchStrategy[bytes]:
    """Damaged as a document of JSON values, or as bytes."""
    text = as_json(document).encode()
    return damaged(document).map(lambda value: as_json(value).encode()) | damaged_bytes(text)


RLE = masks.encode(SQUARE)
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}, {"id": "2", "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [8, 8], "counts": RLE.counts}},
        {"id": 2, "image_id": 2, "category_id": 1.0, "segmentation": [[0, 0, 5, 0, 5, 5]], "bbox": [0, 0, 5, 5]},
    ],
    "categories": [{"id": 1, "name": "ship"}],
}


@cases_of("coco")
@given(data=both(COCO))
def test_coco(data: bytes, folder: Path):
    file = only(InputError, lambda: read_coco(written(folder / "coco.json", data)))
    for entry in file.annotations.in_order if file else ():
        image = only(UnusableFileError, lambda entry=entry: file.images.get(entry.content.get("image_id")))
        only(UnusableFileError, lambda entry=entry: file.category(entry.content.get("category_id")))
        sides = stated_size(image) if isinstance(image, dict) else ()
        only(
            UnusableFileError,
            lambda entry=entry, sides=sides: CocoMask((entry.content.get("segmentation"),), *sides).mask(8, 8),
        )


PREDICTIONS = [
    {"sample_id": "a", "segmentation": {"size": [8, 8], "counts": RLE.counts}, "score": 0.5, "question_index": 0},
    {"image_id": "b", "segmentation": [[0, 0, 5, 0, 5, 5]]},
    {"sample_id": "c", "segmentation": json.dumps({"size": [8, 8], "counts": [8, 56]})},
    {"sample_id": "a", "segmentation": None, "score": 0.9},
]
NPY = io.BytesIO()
np.save(NPY, SQUARE.astype(np.float32))
PNG = io.BytesIO()
Image.fromarray(SQUARE.astype(np.uint8) * 255).save(PNG, "PNG")
FILES = [("a.json", None), ("a.npy", NPY.getvalue()), ("a.png", PNG.getvalue())]


@cases_of("predictions")
@given(
    named=st.sampled_from(FILES).flatmap(
        lambda file: st.tuples(st.just(file[0]), damaged_bytes(file[1]) if file[1] else both(PREDICTIONS))
    ),
    threshold=st.sampled_from([None, 0.5, float("nan")]),
)
def test_predictions(named: tuple[str, bytes], threshold: float | None, folder: Path):
    name, data = named
    masks_folder = folder / "predictions"
    shutil.rmtree(masks_folder, ignore_errors=True)
    masks_folder.mkdir()
    path = written(masks_folder / name, data)
    sizes = {"a": (8, 8), "b": (8, 8), "c": (8, 16)}
    where = path if name.endswith(".json") else masks_folder
    for mask in only(InputError, lambda: list(read_masks(where, sizes, MaskOptions(threshold=threshold)))) or ():
        assert not isinstance(mask, masks.Rle) or masks.check(mask) is not None


LINES = b"a.png a white ship\nb.png the road\r\n\n c.png  x \xc3\xa9\r"


UTF_16 = st.text(max_size=60).map(lambda text: text.encode("utf-16"))


@cases_of("phrases")
@given(data=damaged_bytes(LINES) | st.binary(max_size=100) | UTF_16)
def test_phrases(data: bytes, folder: Path):
    root = folder / "phrases"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    written(root / "output_phrase_train.txt", data)
    sources = only(InputError, lambda: PhraseFiles("images", "masks").sources(root, "train"))
    lines = data.strip(b"\r\n \xef\xbb\xbf")
    assert sources is None or sources or not lines.strip() or not data.decode("utf-16", "ignore").strip()


CSV = b'image,question,mask,answer\r\na.png,"what, where",a.png,\r\nb.png,"two\nlines",,x\r\n'
JSONL = b'{"image": "a.png", "question": ["x", "y"], "mask": null, "sample_id": 7}\n{"image": "b", "question": "z"}\n'


@cases_of("tables")
@given(
    named=st.one_of(
        st.tuples(st.just("q.csv"), damaged_bytes(CSV) | st.binary(max_size=80)),
        st.tuples(st.just("q.jsonl"), damaged_bytes(JSONL) | damaged(json.loads(JSONL.split(b"\n")[0])).map(as_json)),
    ),
    encoding=st.sampled_from(["", "", "utf-8", "utf-16", "cp1252"]),
)
def test_tables(named: tuple[str, bytes | str], encoding: str, folder: Path):
    path = written(folder / named[0], named[1])
    only(InputError, lambda: list(read_queries(path, encoding)))


def tiff(**options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SQUARE.astype(np.uint8) * 255).save(buffer, "TIFF", **options)
    return buffer.getvalue()


GEO = {33550: (10.0, 10.0, 0.0), 33922: (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), 34735: (1, 1, 0, 1, 3072, 0, 1, 32633)}
TIFFS = [tiff(), tiff(compression="tiff_lzw"), tiff(tiffinfo=GEO)]


@cases_of("tiff_headers")
@given(st.sampled_from(TIFFS).flatmap(damaged_bytes))
def test_tiff_headers(data: bytes):
    tiff_tags(data)
    label = only(UnusableFileError, lambda: read_label(data))
    assert label is None or label.mask.ndim == 2
    only(UnusableFileError, lambda: read_picture(data))


MARKED = {
    "run": "r", "step": 20, "steps": 60, "experiment": MINI.as_json(), "fingerprint": "f", "data_fingerprint": "d",
    "sha256": "abc", "created_at": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
STATED = {"experiment": "think2seg-rs-3b", "step": 4, "segmenter": "sam2-mini", "generation": {"max_new_tokens": 7}}
HEADER = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"a": "b"}}


@cases_of("checkpoints")
@given(
    named=st.one_of(
        st.tuples(st.just(MARKER), both(MARKED)),
        st.tuples(st.just("evaluate.json"), both(STATED)),
        st.tuples(st.just("model.safetensors.index.json"), both({"weight_map": {"w": "model.safetensors"}})),
        st.tuples(
            st.just("model.safetensors"),
            both(HEADER).map(lambda text: len(text).to_bytes(8, "little") + text + bytes(8)) | st.binary(max_size=40),
        ),
    )
)
def test_checkpoints(named: tuple[str, bytes], folder: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrival, "QUIET_SECONDS", 0.0)
        patch.setenv("T2S_HOME", str(folder / "home"))
        settings = Settings(folder / "home", folder / "python")
        if not settings.watched.is_dir():
            put(settings.watched / "good", marker=True)
        shutil.rmtree(settings.watched / "bad", ignore_errors=True)
        written(put(settings.watched / "bad", experiment="think2seg-rs-3b") / named[0], named[1])
        usable, unusable = candidates(settings)
    assert "good" in {candidate.system.name for candidate in usable}
    assert len(usable) + len(unusable) == 2
