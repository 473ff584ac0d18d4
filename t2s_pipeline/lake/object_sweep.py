"""Removing objects that nobody can be using: what killed writers have left, and what was replaced long ago.

Somebody may still use an object that a manifest named within the last day: whoever read the root then. A manifest was
in use within the last day if the root names it, if it was written within the last day, or if it is the one that such a
manifest replaced. Objects that none of these names and that are older than a day are removed. A writer that has put an
object gives up if it has not committed it within ``COMMIT_HOURS``.
"""

import re
from datetime import timedelta

from t2s_pipeline.core.errors import ObjectStoreError
from t2s_pipeline.lake.manifests import MANIFESTS, read_manifest, read_root
from t2s_pipeline.lake.object_client import PROBES, ListedObject, ObjectClient
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.schema import TABLES

USE_HOURS = 24
"""How long an object is kept after it was replaced. A query or a command that reads for longer can fail."""

COMMIT_HOURS = 12
"""The longest time between the first object of a change and its commit."""

STAGING_DAYS = 14
"""How long staged pieces of unfinished work are kept."""


_TABLE = "|".join(TABLES)
_OURS = re.compile(
    rf"({_TABLE})/{MANIFESTS}/[0-9a-f]+\.json|({_TABLE})/([^/]+=[^/]+/)*[0-9a-f]+\.parquet|"
    rf"{STAGING}/({_TABLE})/[0-9a-f]+-[0-9a-f]+/[0-9]+\.parquet|{PROBES}/[0-9a-f]+"
)
"""The names that this package gives to objects. The bucket may hold other things, which are left alone."""


def sweep(client: ObjectClient) -> int:
    """Remove such objects, and return their number. The age of an object is told by the clock of the server.

    Raises:
        ObjectStoreError: if the store fails.
    """
    now = client.now()
    objects = [item for item in client.listed() if _OURS.fullmatch(item.name)]
    ages = {item.name: now - item.written for item in objects}
    recent = timedelta(hours=USE_HOURS)
    used_manifests = set(read_root(client).manifests.values())
    for name, age in ages.items():
        if _is_manifest(name) and age < recent:
            used_manifests |= {name, _manifest_before(client, name)}
    used = used_manifests | {
        entry.object
        for name in used_manifests
        if name in ages
        for entry in read_manifest(client, name).entries.values()
    }
    removable = [
        item.name
        for item in objects
        if item.name not in used and ages[item.name] >= (timedelta(days=STAGING_DAYS) if _is_staged(item) else recent)
    ]
    client.delete(removable)
    return len(removable)


def _manifest_before(client: ObjectClient, name: str) -> str:
    """The name of the manifest that this one replaced; "" if there was none, or this one is gone."""
    try:
        return read_manifest(client, name).former
    except ObjectStoreError:
        return ""


def _is_manifest(name: str) -> bool:
    return name.split("/")[1:2] == [MANIFESTS]


def _is_staged(item: ListedObject) -> bool:
    return item.name.startswith(f"{STAGING}/")
