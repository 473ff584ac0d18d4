"""Waiting for a slot of a pool in this process: it says who holds the slot, sleeps, and ends with a signal at once.

Dagster's in-process executor asks for the slot in a loop without a pause. It keeps signals for the next step, which
starts only when there is a slot.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from t2s_pipeline.core.interrupts import INTERRUPTS

PAUSE = 0.5
"""Seconds between two questions for the slot."""


def wait_visibly(instance: dg.DagsterInstance, say: Callable[[str], None]) -> None:
    """From now on, a run of this process waits for its slot in this way.

    Args:
        instance: the instance that the run is executed with.
        say: takes a sentence for the user, once per holder of the slot.
    """
    storage = instance.event_log_storage
    ask = storage.claim_concurrency_slot

    def claim(concurrency_key: str, run_id: str, step_key: str, priority: int | None = None) -> Any:
        status = ask(concurrency_key, run_id, step_key, priority)
        message = ""
        with _raising_signals():
            while not status.is_claimed:
                holders = _holders(instance, concurrency_key)
                if holders != message:
                    message = holders
                    say(f"Waiting for a slot of the pool {concurrency_key}. {holders} Ctrl-C ends the waiting.")
                time.sleep(PAUSE)
                status = ask(concurrency_key, run_id, step_key, priority)
        return status

    storage.claim_concurrency_slot = claim  # type: ignore[method-assign]


@contextmanager
def _raising_signals() -> Iterator[None]:
    """Signals raise an exception at once, and do not wait for a step as Dagster's handlers make them.

    Raises:
        DagsterExecutionInterruptedError: when a signal comes.
    """

    def interrupt(number: int, frame: object) -> None:
        raise dg.DagsterExecutionInterruptedError

    former = {number: signal.signal(number, interrupt) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _holders(instance: dg.DagsterInstance, pool: str) -> str:
    """Which runs hold the slots of a pool, and since when."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    since = {(step.run_id, step.step_key): step.assigned_timestamp for step in info.pending_steps}
    sentences = []
    for slot in info.claimed_slots:
        run = instance.get_run_by_id(slot.run_id)
        partition = run.tags.get("dagster/partition", "") if run is not None else ""
        job = f"{run.job_name} {partition}".strip() if run is not None else "an unknown run"
        start = since.get((slot.run_id, slot.step_key))
        when = f" since {start.astimezone():%Y-%m-%d %H:%M:%S}" if start is not None else ""
        sentences.append(f"The run {slot.run_id[:8]} ({job}, step {slot.step_key}) holds it{when}.")
    return " ".join(sentences) or "It is assigned to a run that has not started yet."
