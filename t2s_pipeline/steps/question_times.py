"""When a standing question is asked: about every new scene at once, or at a time of day or week."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import shown

AT_ONCE = "every new scene"
"""The word for a question that is asked as soon as a scene is there."""

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_TIME = re.compile(rf"(daily|{'|'.join(DAYS)}) ([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class QuestionTimes:
    """The times of a question, in UTC.

    Attributes:
        day: 0 for Monday to 6 for Sunday; None for every day.
        minute: of the day; None: a new scene is asked at once.
    """

    day: int | None = None
    minute: int | None = None

    @classmethod
    def read(cls, text: str) -> "QuestionTimes":
        """The times that a cell of ``questions.csv`` states. An empty cell means every new scene.

        Raises:
            InputError: if it states none.
        """
        words = " ".join(text.lower().split())
        if words in ("", AT_ONCE):
            return cls()
        match = _TIME.fullmatch(words)
        if match is None:
            raise InputError(f"{shown(text)} is no schedule: write `{AT_ONCE}`, `daily 02:00` or `monday 02:00` (UTC).")
        day = None if match[1] == "daily" else DAYS.index(match[1])
        return cls(day, int(match[2]) * 60 + int(match[3]))

    def is_due(self, since: datetime, now: datetime) -> bool:
        """Whether one of the times lies after ``since`` and not after ``now``, both in UTC."""
        if self.minute is None:
            return True
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        latest = midnight + timedelta(minutes=self.minute)
        if latest > now:
            latest -= timedelta(days=1)
        if self.day is not None:
            latest -= timedelta(days=(latest.weekday() - self.day) % 7)
        return latest > since
