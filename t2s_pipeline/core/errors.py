"""The exceptions that a user can meet. Each message names the file or value, what is wrong, and what to do."""

from pathlib import Path


class T2SError(Exception):
    """A fault that the user can correct. The command line prints the message and exits with 1."""


class InputError(T2SError):
    """A file, folder or value from the user that cannot be used."""


class DamagedFileError(InputError):
    """A file of the lake that is damaged.

    Attributes:
        path: the file, or the address of an object.
        reason: what is wrong with it, without a full stop.
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path} is damaged ({reason}): `t2s lake repair` removes it and says how to make it again.")
        self.path = path
        self.reason = reason


class ObjectStoreError(T2SError):
    """The object store of the lake cannot be used, or not at the moment."""


class MissingWorkerError(T2SError):
    """The worker environment (torch, transformers, sam2) is not at the place that the settings name."""


class NotMaterializedError(T2SError):
    """A table partition or checkpoint that a step reads does not exist yet."""
