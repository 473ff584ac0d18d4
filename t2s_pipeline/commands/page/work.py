"""One thing at a time for the worker: a question that is being answered, with its progress, or prompts."""

import re
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.launch import Launch
from t2s_pipeline.core.progress import SECONDS
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker.launcher import plain_launch, stop_running

Result = TypeVar("Result")

BROKEN = "The server of this page failed. Its terminal shows more."
STOPPED = "Stopped."
PROGRESS_SECONDS = "0.5"
_COUNT = re.compile(r" (\d+)/(\d+) \(")


@dataclass(frozen=True)
class WorkState:
    """What the page shows while it waits.

    Attributes:
        number: of the task, from 1 on; 0 before the first one.
        state: ``idle``, ``running``, ``done``, ``failed`` or ``stopped``.
        sentence: the last line of progress, or why it failed.
        done: views that are finished.
        total: all views; 0 if they are not counted yet.
        result: what the task returned, as JSON values.
    """

    number: int = 0
    state: str = "idle"
    sentence: str = ""
    done: int = 0
    total: int = 0
    result: Any = None


class BusyError(T2SError):
    """Something else is running."""


class Work:
    """The one thread that asks the worker.

    Args:
        settings: names the worker's interpreter and T2S_HOME.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = WorkState()
        self._thread = ThreadPoolExecutor(1, "asks the worker")
        self._lock = threading.Lock()
        self._stops = False
        self._plain = plain_launch(settings, variables={SECONDS: PROGRESS_SECONDS}, say=self.say)

    @property
    def launch(self) -> Launch:
        """Runs a command of the worker; what it prints becomes the sentence of the state."""

        def launch(arguments: Sequence[str]) -> None:
            if self._stops:
                raise T2SError(STOPPED)
            self._plain(arguments)

        return launch

    def start(self, task: Callable[[], Any]) -> int:
        """Begin with a task and return its number. Its result is in ``state`` when it has ended.

        Raises:
            BusyError: if a task is running.
        """
        with self._lock:
            if self.state.state == "running":
                raise BusyError("A question is being answered: wait for it, or stop it.")
            self._stops = False
            self.state = WorkState(self.state.number + 1, "running", "The worker starts.")
        self._thread.submit(self._run, task)
        return self.state.number

    def warm(self, task: Callable[[], Any]) -> None:
        """Do something that the first request waits for. A fault is not reported: the next task meets it too."""
        self._thread.submit(task)

    def now(self, task: Callable[[], Result]) -> Result:
        """Do something short and return its result. Short tasks wait for each other.

        Raises:
            BusyError: if a question is being answered.
        """
        with self._lock:
            if self.state.state == "running":
                raise BusyError("A question is being answered: wait for it, or stop it.")
            self._stops = False
            future = self._thread.submit(task)
        return future.result()

    def stop(self) -> None:
        """Let the running task end. The worker ends with it, and the next task starts another one."""
        self._stops = True
        stop_running()

    def close(self) -> None:
        """Stop, and wait until nothing runs."""
        self.stop()
        self._thread.shutdown(cancel_futures=True)

    def say(self, line: str) -> None:
        """Take a line of progress."""
        state = self.state
        if state.state == "running" and line.strip():
            count = _COUNT.search(line)
            done, total = (int(count[1]), int(count[2])) if count else (state.done, state.total)
            self.state = replace(state, sentence=line.strip(), done=done, total=total)

    def _run(self, task: Callable[[], Any]) -> None:
        try:
            end = replace(self.state, state="done", sentence="", result=task())
        except T2SError as fault:
            stopped = replace(self.state, state="stopped", sentence=STOPPED)
            end = stopped if self._stops else replace(self.state, state="failed", sentence=str(fault))
        except Exception:  # noqa: BLE001  # a bug of ours must not leave the page waiting
            traceback.print_exc()
            end = replace(self.state, state="failed", sentence=BROKEN)
        self.state = end
