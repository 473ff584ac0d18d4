"""Progress is reported rarely, but its first and last messages always."""

import io
import logging
from types import SimpleNamespace

from t2s_pipeline.core.progress import PipesProgress, SentenceProgress, StderrProgress


def test_plain_lines_are_few_and_the_last_is_there():
    stream = io.StringIO()
    progress = StderrProgress(stream)
    progress.start("steps", 100)
    for done in range(1, 101):
        progress.advance(done, "reward 1.5")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("steps 1/100") and "left" in lines[0]
    assert lines[-1].startswith("steps 100/100") and lines[-1].endswith("reward 1.5")


def test_a_continued_step_counts_only_what_it_did_itself():
    stream = io.StringIO()
    progress = StderrProgress(stream)
    progress.start("steps", 10, done=5)
    progress.advance(10)
    assert stream.getvalue().startswith("steps 10/10")


def test_pipes_gets_log_lines_and_one_result(caplog):
    messages = []
    context = SimpleNamespace(log=logging.getLogger("pipes"), report_custom_message=messages.append)
    with caplog.at_level(logging.INFO):
        progress = PipesProgress(context)
        progress.start("answers", 2)
        progress.advance(2)
        progress.say("one image set aside", warning=True)
        progress.result(rows=2, share=0.5)
    assert messages == [{"result": {"rows": 2, "share": 0.5}}]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_that_fills():
    stream = Terminal()
    progress = StderrProgress(stream)
    progress.start("reading val", 4)
    for done in (1, 4):
        progress.advance(done)
    first, last = stream.getvalue().split("\r\x1b[2K")[1:]
    assert first.startswith("█" * 5 + "░" * 15 + " reading val 1/4")
    assert last.startswith("█" * 20 + " reading val 4/4") and last.endswith("\n")


def test_work_in_the_orchestrator_is_reported_every_ten_seconds_and_not_at_its_end(monkeypatch):
    now = 0.0
    monkeypatch.setattr("t2s_pipeline.core.progress.time.monotonic", lambda: now)
    sentences: list[str] = []
    progress = SentenceProgress(sentences.append)
    progress.start("reading val", 30)
    for done in range(1, 31):
        now += 1.0
        progress.advance(done)
    assert [line.split(" (")[0] for line in sentences] == ["reading val 10/30", "reading val 20/30"]


def test_a_sentence_about_a_file_cannot_act_on_the_terminal():
    stream = io.StringIO()
    StderrProgress(stream).say("bad\x1b[2J.png\x07")
    assert stream.getvalue() == "bad\\x1b[2J.png\\x07\n"
