"""Progress is said sparingly, but its first and last words always."""

import io
import logging
from types import SimpleNamespace

from t2s_pipeline.progress import PipesProgress, StderrProgress


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
