"""Files that may still be arriving: somebody copies them into a watched folder, which takes a while."""

import os
import time
from collections.abc import Iterable

QUIET_SECONDS = 3.0
"""Files count as whole only after none of them was created or changed for this time."""


def may_be_arriving(states: Iterable[os.stat_result]) -> bool:
    """Whether a file was created or changed a moment ago, so that a copy may still be running.

    The change time counts, which is that of a file's arrival here, whatever time of its making a copy keeps. A change
    in the future says nothing: the clock was set back since, or is that of another machine.
    """
    now = time.time()
    return any(abs(now - state.st_ctime) < QUIET_SECONDS for state in states)
