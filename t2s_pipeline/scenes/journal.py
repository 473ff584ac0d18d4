"""A file to which a long search adds what it has finished, line by line, so that a stopped search can go on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import disk_room


class Journal:
    """JSON values, one per line. A line that a killed process left unfinished is dropped.

    Args:
        path: of the file. It is created with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Iterator[Any]:
        """The values, in the order in which they were added."""
        if not self.path.is_file():
            return
        with self.path.open("r+b") as file:
            end = 0
            for line in file:
                try:
                    value = json.loads(line)
                except ValueError:
                    break
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                yield value
            else:
                return
            file.truncate(end)

    def add(self, value: Any) -> None:
        """Add a value and wait until it is on the disk.

        Raises:
            T2SError: if the disk is full.
        """
        with disk_room(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
