"""Where the lake lies: a folder, or a prefix of a bucket on an object store."""

import re
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError

LAKE = "T2S_LAKE"
"""The environment variable with the address of a lake on an object store."""

_ADDRESS = re.compile(
    r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])((?:/[A-Za-z0-9_=@+,-][A-Za-z0-9._=@+,-]*)*)/?"
)


@dataclass(frozen=True)
class ObjectPlace:
    """A lake on an object store. It travels to every process; what gives access is in the environment of each.

    Attributes:
        bucket: the bucket.
        prefix: what all names of objects begin with, without a slash at its ends; "" for the whole bucket.
        scratch: a folder on this machine for the parts of objects that are in use.
    """

    bucket: str
    prefix: str
    scratch: Path

    def __str__(self) -> str:
        return "/".join(filter(None, (f"s3://{self.bucket}", self.prefix)))


LakePlace = Path | ObjectPlace
"""The folder of a lake, or where it is on an object store."""


def lake_place(home: Path, address: str) -> LakePlace:
    """The place that an address names.

    Args:
        home: T2S_HOME.
        address: ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``; empty for the folder ``lake`` in ``home``.

    Raises:
        InputError: if it is no such address. The message does not repeat it, because it may hold a password.
    """
    if not address:
        return home / "lake"
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{LAKE} is not an address of a lake: write s3://BUCKET or s3://BUCKET/PREFIX, with ASCII letters, digits "
            "and . _ - = @ + , between the slashes, or remove the variable for a lake in T2S_HOME."
        )
    return ObjectPlace(match[1], match[2].strip("/"), home / "tmp")
