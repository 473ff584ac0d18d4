"""Which objects belong to a lake on an object store: one root, and one manifest per table.

- ``<table>/<column>=<value>/…/<unique>.parquet``: the rows of a partition. Never changed.
- ``<table>/_manifests/<unique>.json``: names the object of each partition of the table. Never changed.
- ``root.json``: names the manifest of each table. The only object that is replaced.

A writer puts its objects and the new manifests of its tables, and then replaces the root, on condition that the root is
the one that it has read. So all partitions change at one moment, and who has read the root has the whole lake as it was
at that moment. If another writer was quicker, the new root is read, and the change is made to that one.
"""

import json
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from xxhash import xxh3_128

from t2s_pipeline.core.errors import ObjectStoreError
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.object_client import ObjectClient
from t2s_pipeline.lake.storage import ChangedMeanwhileError

ROOT = "root.json"
MANIFESTS = "_manifests"
FORMAT = 1
TRIES = 100
"""How often a commit is tried while other writers are quicker."""

MOST_WAIT = 1.0
"""The longest wait between two tries, in seconds."""


@dataclass(frozen=True)
class ManifestEntry:
    """What a manifest says about a partition.

    Attributes:
        object: the name of its object.
        size: the bytes of the object.
        version: the schema version of the table.
        commit: the number of the commit that put it here. Later commits have higher numbers.
        partition: column → value.
    """

    object: str
    size: int
    version: int
    commit: int
    partition: Partition


@dataclass(frozen=True)
class Root:
    """The lake at one moment.

    Attributes:
        commit: the number of the last commit.
        manifests: table → the name of its manifest.
        etag: of the object; None if there is no root yet.
    """

    commit: int = 0
    manifests: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The partitions of a table.

    Attributes:
        entries: place below the table, such as ``dataset=x/split=y`` → entry.
        former: the name of the manifest that this one replaced; "" if there was none.
    """

    entries: Mapping[str, ManifestEntry] = field(default_factory=dict)
    former: str = ""


Changes = Mapping[str, Mapping[str, ManifestEntry | None]]
"""Table → place → the new entry; None removes the partition."""


def read_root(client: ObjectClient) -> Root:
    """The root as it is now.

    Raises:
        ObjectStoreError: if it is damaged, a later release wrote it, or the store fails.
    """
    try:
        data, etag = client.get(ROOT)
    except FileNotFoundError:
        return Root()
    content = _content(client.address(ROOT), data)
    return Root(content["commit"], content["manifests"], etag)


def read_manifest(client: ObjectClient, name: str) -> Manifest:
    """A manifest. It never changes, so this process reads it once.

    Raises:
        ObjectStoreError: if it is damaged or missing, a later release wrote it, or the store fails.
    """
    return _read_manifest(client, name) if name else Manifest()


@lru_cache(maxsize=256)
def _read_manifest(client: ObjectClient, name: str) -> Manifest:
    address = client.address(name)
    try:
        content = _content(address, client.get(name)[0])
    except FileNotFoundError:
        raise _unusable(address, "is missing, though the lake's root names it") from None
    entries = {place: ManifestEntry(**entry) for place, entry in content["entries"].items()}
    return Manifest(entries, content["former"])


def entries_of(client: ObjectClient, root: Root, table: str) -> Mapping[str, ManifestEntry]:
    """The partitions of a table, by their place."""
    return read_manifest(client, root.manifests.get(table, "")).entries


Expected = Mapping[str, Mapping[str, str | None]]
"""Table → place → the object that is there; None: there is none."""


def commit(client: ObjectClient, changes: Changes, expected: Expected | None = None) -> None:
    """Change partitions of tables at one moment. Their objects are there already.

    Args:
        client: of the lake.
        changes: what changes. ``commit`` of the entries is filled in here.
        expected: what must still be there; None: whatever is there.

    Raises:
        ChangedMeanwhileError: if something else than ``expected`` is there.
        ObjectStoreError: if the store fails, or others were quicker again and again.
    """
    objects = {table: {place: _object(entry) for place, entry in each.items()} for table, each in changes.items()}
    for attempt in range(TRIES):
        root = read_root(client)
        if attempt and _is_there(client, root, objects):
            return  # the answer to a write was lost
        if not _is_there(client, root, expected or {}):
            raise ChangedMeanwhileError
        manifests = dict(root.manifests)
        for table, places in changes.items():
            manifests[table] = _put_manifest(client, table, root, places)
        content = {"commit": root.commit + 1, "manifests": manifests}
        if client.put_if(ROOT, _encoded(content), root.etag):
            return
        time.sleep(random.uniform(0, min(MOST_WAIT, 0.02 * 2**attempt)))
    raise ObjectStoreError(
        f"{client.place} was changed by others {TRIES} times before this change was made: run the same command again."
    )


def _object(entry: ManifestEntry | None) -> str | None:
    return None if entry is None else entry.object


def _is_there(client: ObjectClient, root: Root, objects: Expected) -> bool:
    """Whether the manifests name exactly these objects at these places."""
    for table, places in objects.items():
        entries = entries_of(client, root, table)
        if any(_object(entries.get(place)) != name for place, name in places.items()):
            return False
    return True


def _put_manifest(client: ObjectClient, table: str, root: Root, places: Mapping[str, ManifestEntry | None]) -> str:
    """Write the manifest of a table with the changes, and return its name."""
    base = root.manifests.get(table, "")
    entries = dict(read_manifest(client, base).entries)
    for place, entry in places.items():
        if entry is None:
            entries.pop(place, None)
        else:
            entries[place] = ManifestEntry(entry.object, entry.size, entry.version, root.commit + 1, entry.partition)
    name = f"{table}/{MANIFESTS}/{secrets.token_hex(16)}.json"
    content = {"former": base, "entries": {place: asdict(entry) for place, entry in sorted(entries.items())}}
    client.put(name, _encoded(content))
    return name


def _encoded(content: Mapping[str, object]) -> bytes:
    text = json.dumps(content, sort_keys=True)
    return json.dumps({"format": FORMAT, "digest": xxh3_128(text.encode()).hexdigest(), "content": content}).encode()


def _unusable(address: str, fault: str) -> ObjectStoreError:
    return ObjectStoreError(f"{address} {fault}: restore an earlier version of this object, or use another T2S_LAKE.")


def _content(address: str, data: bytes) -> dict[str, Any]:
    """The content of a root or a manifest.

    Raises:
        ObjectStoreError: if it is damaged, or a later release wrote it.
    """
    try:
        outer = json.loads(data)
        form, digest, content = outer["format"], outer["digest"], outer["content"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _unusable(address, "is no manifest") from None
    if form != FORMAT:
        raise ObjectStoreError(
            f"{address} was written by a later release: install that release, or use another T2S_LAKE."
        )
    if xxh3_128(json.dumps(content, sort_keys=True).encode()).hexdigest() != digest:
        raise _unusable(address, "differs from its digest")
    return dict(content)
