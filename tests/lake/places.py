"""Lakes in a folder and on an object store, for tests that hold for both."""

import contextlib
import os
import re
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from t2s_pipeline.core.lake_place import LakePlace, ObjectPlace
from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.manifests import MANIFESTS, ROOT
from t2s_pipeline.lake.object_client import client_of
from tests.object_server import BUCKET

SECRET = "a-secret-nobody-prints"


@contextlib.contextmanager
def served(kind: str = "conditional") -> Iterator[str]:
    """The address of a server with an empty bucket, in a process of its own that ends with the block."""
    command = [sys.executable, "-m", "tests.object_server", kind]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"))
        try:
            yield address
        finally:
            process.stdin.close()


def environment(address: str, key: str = "a-key") -> dict[str, str]:
    """The variables that give access to the server."""
    return {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": SECRET}


def new_place(scratch: Path) -> ObjectPlace:
    """An empty lake in the bucket."""
    return ObjectPlace(BUCKET, f"lakes/{secrets.token_hex(6)}", scratch)


def contents(lake: LakePlace) -> list[str]:
    """What belongs to partitions and pieces: on an object store too, a partition's object is called data.parquet."""
    if isinstance(lake, Path):
        paths = (path for path in lake.rglob("*") if path.is_file() and not path.name.startswith("publishing."))
        return sorted(path.relative_to(lake).as_posix() for path in paths)
    names = (item.name for item in client_of(lake).listed() if item.name != ROOT and f"/{MANIFESTS}/" not in item.name)
    return sorted(re.sub("[0-9a-f]{32}.parquet$", "data.parquet", name) for name in names)


def without_access() -> dict[str, str]:
    """This environment without any variable that could lead to a real object store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
