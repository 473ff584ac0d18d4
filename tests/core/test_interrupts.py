"""A signal that asks to stop waits for the end of a block."""

import signal
import threading

import pytest

from t2s_pipeline.core.interrupts import INTERRUPTS, interrupts_held


@pytest.fixture
def interrupting():
    """Each of the signals raises KeyboardInterrupt, as in a command of ours."""
    former = {number: signal.signal(number, signal.default_int_handler) for number in INTERRUPTS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", INTERRUPTS)
def test_the_block_ends_before_the_signal_takes_effect(interrupting, number):
    order = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(number)
        order.append("block")
    assert order == ["block"]
    assert signal.getsignal(number) is signal.default_int_handler


def test_a_block_that_fails_is_interrupted_too(interrupting):
    with pytest.raises(KeyboardInterrupt) as interrupt, interrupts_held():
        signal.raise_signal(signal.SIGTERM)
        raise OSError
    assert isinstance(interrupt.value.__context__, OSError)


def test_an_ignored_signal_stays_ignored(interrupting):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupts_held():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.raise_signal(signal.SIGHUP)


def test_another_thread_is_never_interrupted_and_holds_nothing():
    def block() -> None:
        with interrupts_held():
            pass

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
