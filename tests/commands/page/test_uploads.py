"""Files that are given to the page: what is taken, what is refused, and that they go."""

import asyncio
import io
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

pytest.importorskip("starlette")

from t2s_pipeline.commands.page.uploads import Uploads, stem_of
from t2s_pipeline.core.errors import InputError

pytestmark = pytest.mark.orchestrator


def picture(kind: str = "PNG", side: int = 20) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 90, np.uint8)).save(file, kind)
    return file.getvalue()


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100):
        yield data[start : start + 100]


def give(uploads: Uploads, name: str, data: bytes) -> Path:
    return asyncio.run(uploads.receive(name, parts(data))).path


@pytest.mark.parametrize("kind, ending", [("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif")])
def test_a_picture_is_stored_below_tmp_with_the_ending_of_its_kind(tmp_path: Path, kind: str, ending: str):
    path = give(Uploads(tmp_path), "field.xyz", picture(kind))
    assert path.name == f"field{ending}" and path.is_relative_to(tmp_path / "tmp" / "app")


@pytest.mark.parametrize(
    "name, stem",
    [
        ("../../etc/passwd", "passwd"),
        ("..", "picture"),
        ("", "picture"),
        ("C:\\maps\\a.tif", "a"),
        ("<img src=x>.png", "_img src_x_"),
        ("a\0b\n.png", "a_b_"),
        ("x" * 500 + ".tif", "x" * 80),
        ("Straße 7.jp2", "Straße 7"),
    ],
)
def test_a_name_cannot_lead_elsewhere(tmp_path: Path, name: str, stem: str):
    assert stem_of(name) == stem
    uploads = Uploads(tmp_path)
    assert give(uploads, name, picture()).parent.parent == uploads.folder


@pytest.mark.parametrize(
    "data, sentence",
    [
        (b"", "The file is empty."),
        (b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", "no GeoTIFF, PNG, JPEG or JPEG 2000"),
        (b"<GDAL_WMS><Service name='TMS'/></GDAL_WMS>", "no GeoTIFF, PNG, JPEG or JPEG 2000"),
        (b"%PDF-1.7", "no GeoTIFF, PNG, JPEG or JPEG 2000"),
        (picture()[:20], "it is damaged"),
        (b"II*\0" + b"\xff" * 300, "it is damaged"),
        (picture(side=60) + bytes(5000), "more than 0 MB"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_stays(tmp_path: Path, data: bytes, sentence: str):
    uploads = Uploads(tmp_path, max_bytes=4000)
    with pytest.raises(InputError, match=sentence):
        give(uploads, "a.tif", data)
    assert list(uploads.folder.iterdir()) == []


def test_a_small_file_that_states_too_many_pixels_is_refused(tmp_path: Path):
    path = tmp_path / "sparse.tif"
    profile = {"driver": "GTiff", "width": 30_000, "height": 30_000, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", sparse_ok=True, tiled=True, **profile):
        pass
    uploads = Uploads(tmp_path)
    with pytest.raises(InputError, match="30,000 × 30,000 pixels, more than 400 million"):
        give(uploads, "sparse.tif", path.read_bytes())
    assert list(uploads.folder.iterdir()) == []


def test_the_files_go_with_the_server_and_those_of_a_killed_one_at_the_next_start(tmp_path: Path):
    host = "".join(c if c.isalnum() else "_" for c in socket.gethostname())
    ended = os.fork() or os._exit(0)
    os.waitpid(ended, 0)
    leftover = tmp_path / "tmp" / "app" / f"server-{host}-{ended}-abcd1234"
    leftover.mkdir(parents=True)
    (leftover / "big.tif").write_bytes(b"x")
    first = Uploads(tmp_path)
    assert not leftover.exists()
    second = Uploads(tmp_path)
    path = give(first, "a.png", picture())
    second.close()
    assert path.exists() and first.folder.exists(), "another server that runs keeps its files"
    first.close()
    assert list((tmp_path / "tmp" / "app").iterdir()) == []
