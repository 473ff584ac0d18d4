"""A dataset on disk: its name, its folder, its reader, and the question that its published numbers ask."""

import re
from dataclasses import dataclass, is_dataclass
from pathlib import Path

from t2s_pipeline.datasets.question_choice import BY_HASH
from t2s_pipeline.datasets.records import Reader


@dataclass(frozen=True)
class Dataset:
    """A dataset and how it is read."""

    name: str
    """The value of the column ``dataset`` in every table."""
    root: Path
    """The folder that holds the layout."""
    reader: Reader
    published_rule: str = BY_HASH
    """The rule of ``question_choice`` that the published numbers follow."""
    origin: str = ""
    """Who named the folder: an environment variable, or the file that remembers it."""

    @property
    def splits(self) -> list[str]:
        """Those of train, val and test that the folder holds."""
        return self.reader.splits(self.root)

    @property
    def parameters(self) -> dict[str, object]:
        """What decides how the files are read, besides the reader's code: part of the fingerprint of the tables.

        Paths are left out: the same files in another folder are the same data.
        """
        values: dict[str, object] = vars(self.reader) if is_dataclass(self.reader) else {}
        options = {name: value for name, value in values.items() if not isinstance(value, Path) and name != "rules"}
        options |= self.reader.rules.settings
        return {"published_rule": self.published_rule, "reader": options}


def dataset_name(text: str) -> str:
    """A text as the name of a dataset: lower case, with a hyphen for every run of other characters.

    The name is at most 64 characters long. It is empty if the text has no letter or digit.

    >>> dataset_name("Real scenes (2)")
    'real-scenes-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64]
