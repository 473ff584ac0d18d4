"""Requests to the object store of a lake, through obstore. Its faults become one sentence each.

The texts of a fault can hold an access key, so none of them is passed on. What gives access is read by obstore from the
usual variables (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_REGION``,
``AWS_ENDPOINT_URL``).
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from t2s_pipeline.core.errors import ObjectStoreError
from t2s_pipeline.core.lake_place import ObjectPlace
from t2s_pipeline.lake.partial_copy import Range

if TYPE_CHECKING:
    from obstore import PutMode

RETRIES = 4
"""How often a request is repeated that the server could not answer."""

REQUEST_SECONDS = 60
"""The most seconds that a request and its repetitions take. The parts of a large object are requests of their own."""

PROBES = "_probe"
"""The folder of the objects with which the server is tried. They are removed at once."""

_STATUS = re.compile(r"status code: (\d{3})")


@dataclass(frozen=True)
class ListedObject:
    """An object as the store lists it: its name below the prefix, its bytes, and when it was written."""

    name: str
    size: int
    written: datetime


class ObjectClient:
    """The objects below the prefix of a lake. Their names are relative to it."""

    def __init__(self, place: ObjectPlace) -> None:
        try:
            import obstore
            from obstore import exceptions, store
        except ModuleNotFoundError:
            raise ObjectStoreError(
                f"The lake at {place} needs the extra `s3` in both environments. `make setup` installs it."
            ) from None
        self.place, self._obstore, self._errors = place, obstore, exceptions
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        parts = urlsplit(endpoint)
        self._server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if endpoint else "AWS"
        self._conditions_are_kept = False
        with self._sentences("be opened"):
            self._store = store.S3Store(
                place.bucket,
                prefix=place.prefix or None,
                client_options={"allow_http": parts.scheme == "http", "connect_timeout": "5s", "timeout": "60s"},
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_SECONDS)},
            )

    def address(self, name: str) -> str:
        """The address of an object, for messages."""
        return f"{self.place}/{name}"

    def get(self, name: str) -> tuple[bytes, str]:
        """An object and its ETag.

        Raises:
            FileNotFoundError: if there is none of this name.
            ObjectStoreError: if the store fails.
        """
        with self._sentences("be read"):
            answer = self._obstore.get(self._store, name)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def ranges(self, name: str, parts: Sequence[Range]) -> list[memoryview]:
        """Parts of an object, several requests at a time.

        Raises:
            FileNotFoundError: if there is no object of this name.
            ObjectStoreError: if the store fails.
        """
        starts, lengths = [start for start, _ in parts], [length for _, length in parts]
        with self._sentences("be read"):
            return [
                memoryview(data) for data in self._obstore.get_ranges(self._store, name, starts=starts, lengths=lengths)
            ]

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object; a file is sent in parts.

        Raises:
            ObjectStoreError: if the store fails.
        """
        with self._sentences("be written"):
            self._obstore.put(self._store, name, data)

    def put_if(self, name: str, data: bytes, etag: str | None) -> bool:
        """Write an object if the present one has this ETag, or with None, if there is none. False: it was not written.

        Raises:
            ObjectStoreError: if the store fails, or ignores conditions.
        """
        self._require_conditions()
        return self._put_if(name, data, etag)

    def _put_if(self, name: str, data: bytes, etag: str | None) -> bool:
        mode: PutMode = "create" if etag is None else {"e_tag": etag}
        with self._sentences("be written"):
            try:
                self._obstore.put(self._store, name, data, mode=mode, use_multipart=False)
            except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                return False
        return True

    def _require_conditions(self) -> None:
        """Try once per process whether the server keeps the conditions of a write.

        Raises:
            ObjectStoreError: if it does not.
        """
        if self._conditions_are_kept:
            return
        name = f"{PROBES}/{secrets.token_hex(8)}"
        written = self._put_if(name, b"1", None)
        again = self._put_if(name, b"2", None)
        other = self._put_if(name, b"3", '"0123456789abcdef0123456789abcdef"')
        replaced = self._put_if(name, b"4", self.get(name)[1])
        self.delete([name])
        if (written, again, other, replaced) != (True, False, False, True):
            raise ObjectStoreError(
                f"The object store at {self._server} ignores the conditions of a write (If-None-Match, If-Match), so "
                f"two writers could undo each other's work in {self.place}: use a server that keeps them, or remove "
                "T2S_LAKE."
            )
        self._conditions_are_kept = True

    def now(self) -> datetime:
        """The time of the server's clock, with which it says when an object was written.

        Raises:
            ObjectStoreError: if the store fails.
        """
        name = f"{PROBES}/{secrets.token_hex(8)}"
        self.put(name, b"")
        with self._sentences("be read"):
            time = self._obstore.head(self._store, name)["last_modified"]
        self.delete([name])
        return time

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects. One that does not exist is no fault.

        Raises:
            ObjectStoreError: if the store fails.
        """
        with self._sentences("be changed"):
            for start in range(0, len(names), 1000):
                self._obstore.delete(self._store, list(names[start : start + 1000]))

    def listed(self, folder: str = "") -> Iterator[ListedObject]:
        """The objects below a folder. What belongs to the lake is not decided by this.

        Raises:
            ObjectStoreError: if the store fails.
        """
        with self._sentences("be listed"):
            for batch in self._obstore.list(self._store, prefix=folder or None):
                for item in batch:
                    yield ListedObject(item["path"], item["size"], item["last_modified"])

    @contextmanager
    def _sentences(self, verb: str) -> Iterator[None]:
        """Turn the faults of obstore into sentences.

        Args:
            verb: what could not be done with the lake.

        Raises:
            FileNotFoundError: if an object does not exist.
            ObjectStoreError: for everything else.
        """
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise FileNotFoundError(errno.ENOENT, "This object does not exist", str(self.place)) from None
            raise self._no_bucket() from None
        except (self._errors.BaseError, ValueError, TypeError, OSError) as error:
            raise self._fault(error, verb) from None

    def _fault(self, error: Exception, verb: str) -> ObjectStoreError:
        text = str(error)
        match = _STATUS.search(text)
        status = match[1] if match else ""
        if "NoSuchBucket" in text:
            return self._no_bucket()
        denied = (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError)
        if isinstance(error, denied) or status in ("401", "403"):
            return ObjectStoreError(
                f"The object store at {self._server} denies access to {self.place}: check AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY, AWS_REGION, and the rights of this key."
            )
        if status:
            return ObjectStoreError(
                f"{self.place} cannot {verb}: the object store at {self._server} answers with status {status}."
            )
        if "169.254.169.254" in text or "credential" in text.lower():
            return ObjectStoreError(
                f"There is no access key for {self.place}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            )
        return ObjectStoreError(
            f"{self.place} cannot {verb}: the object store at {self._server} cannot be reached. Check AWS_ENDPOINT_URL "
            "and the network, then run the same command again."
        )

    def _no_bucket(self) -> ObjectStoreError:
        return ObjectStoreError(
            f"There is no bucket {self.place.bucket} at the object store ({self._server}): create it, or correct "
            "T2S_LAKE."
        )


def client_of(place: ObjectPlace) -> ObjectClient:
    """The client of a place: one per process and set of ``AWS_`` variables.

    Raises:
        ObjectStoreError: if a package is missing, or the variables cannot be used.
    """
    return _client(place, os.getpid(), tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))))


@lru_cache(maxsize=8)
def _client(place: ObjectPlace, process: int, variables: tuple[tuple[str, str], ...]) -> ObjectClient:
    return ObjectClient(place)
