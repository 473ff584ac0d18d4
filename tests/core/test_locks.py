"""Two processes that want the same thing take turns, and the one that waits says so."""

import fcntl
import hashlib
import threading
from pathlib import Path

from t2s_pipeline.core.locks import only_one
from tests.processes import PATIENCE


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    sentences: list[str] = []
    with only_one(tmp_path, "samples train", sentences.append):
        pass
    assert sentences == []


def test_a_waiting_lock_says_what_it_waits_for_and_is_taken_when_free(tmp_path: Path) -> None:
    path = tmp_path / "tmp" / "locks" / f"{hashlib.sha256(b'samples train').hexdigest()[:16]}.lock"
    path.parent.mkdir(parents=True)
    waits, order = threading.Event(), []
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def second() -> None:
            with only_one(tmp_path, "samples train", lambda sentence: (order.append(sentence), waits.set())):
                order.append("second")

        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(PATIENCE)
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["Waiting for another process, which works on samples train.", "first", "second"]
