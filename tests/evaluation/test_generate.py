"""Every question is answered once, in batches that a restart does not change."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.errors import NotMaterializedError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.datasets.question_choice import asked_questions  # noqa: E402
from t2s_pipeline.evaluation import generate  # noqa: E402
from t2s_pipeline.evaluation.generate import generate_completions  # noqa: E402
from t2s_pipeline.lake.schema import COMPLETIONS, SAMPLES  # noqa: E402
from t2s_pipeline.lake.store import fingerprint_of, read_partition  # noqa: E402
from t2s_pipeline.methods.recipe import Recipe  # noqa: E402
from t2s_pipeline.methods.system import System  # noqa: E402
from t2s_pipeline.prompters.base import GenerationSettings  # noqa: E402
from t2s_pipeline.prompters.prompter import Prompter  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.prompting.templates import Template, own_template  # noqa: E402

PLACE = {"dataset": "real", "split": "test"}
ANSWERS = {"system": "mini", **PLACE}


@pytest.fixture
def system(prompter_folder) -> System:
    return System("mini", str(prompter_folder), "sam2-mini", Recipe(), GenerationSettings(8, batch_size=2), "synthetic")


@pytest.fixture
def asked(monkeypatch) -> list[list[str]]:
    """The questions of each batch that really went to the prompter."""
    batches: list[list[str]] = []
    answer = Prompter.answer

    def recorded(self, images, questions, *rest):
        batches.append(list(questions))
        return answer(self, images, questions, *rest)

    monkeypatch.setattr(Prompter, "answer", recorded)
    return batches


def test_a_template_is_what_the_prompter_is_asked_with_and_its_hash_is_recorded(home, system, monkeypatch):
    template = Template("Look: {Image} Find {Question}", "You see.")
    rendered = []
    render = Prompter.render

    def noted(self, question, combination):
        rendered.append((question, render(self, question, combination)))
        return rendered[-1][1]

    monkeypatch.setattr(Prompter, "render", noted)
    generate_completions(home, replace(system, template=template), **PLACE, fingerprint="f", progress=NoProgress())
    settings = json.loads(read_partition(home / "lake", COMPLETIONS, ANSWERS)["settings"][0].as_py())
    assert settings["instruction_sha256"] == template.sha256
    question, text = rendered[-1]
    assert "You see." in text and f" Find {question}" in text and "Mark every" not in text
    assert text.index("Look: ") < text.index("<|image_pad|>") < text.index(" Find ")


class Stopped(BaseException):
    """As a signal would stop a run."""


class StopAfter(NoProgress):
    """Stops the run once so many answers are in."""

    def __init__(self, answers: int) -> None:
        self.answers = answers

    def advance(self, done: int, note: str = "") -> None:
        if done >= self.answers:
            raise Stopped


def test_every_question_of_every_sample_is_answered_and_recorded(home, system, asked):
    rows = generate_completions(home, system, "real", "test", "f1", NoProgress())
    samples = read_partition(home / "lake", SAMPLES, PLACE).to_pylist()
    expected = {(row["sample_id"], index) for row in samples for index in range(len(row["questions"]))}
    table = read_partition(home / "lake", COMPLETIONS, ANSWERS)
    assert rows == table.num_rows == len(expected) == 3
    assert set(zip(table["sample_id"].to_pylist(), table["question_index"].to_pylist(), strict=True)) == expected
    assert all(0 < tokens <= 8 for tokens in table["tokens"].to_pylist())
    assert set(table["finish_reason"].to_pylist()) <= {"stop", "length"}
    assert min(table["seconds"].to_pylist()) > 0
    settings = json.loads(table["settings"][0].as_py())
    assert (settings["side"], settings["schema"], settings["max_new_tokens"]) == (168, "bbox+pos2", 8)
    assert len(settings["prompter_sha256"]) == 64
    assert settings["instruction_sha256"] == own_template(PROMPT_COMBINATIONS["bbox+pos2"], length="full").sha256
    assert settings["resampling"] == "lanczos"
    assert fingerprint_of(home / "lake", COMPLETIONS, ANSWERS) == "f1"


def test_windows_are_sorted_by_prompt_length_and_texts_stay_with_their_question(home, system, asked):
    """The prompter gets a whole window, and makes batches of two of its three questions."""
    generate_completions(home, system, "real", "test", "f", NoProgress())
    [in_order] = asked
    assert in_order == sorted(in_order, key=len, reverse=True) and len(in_order) == 3
    samples = read_partition(home / "lake", SAMPLES, PLACE).to_pylist()
    questions = {row["sample_id"]: row["questions"] for row in samples}
    stored = read_partition(home / "lake", COMPLETIONS, ANSWERS).to_pylist()
    assert [questions[row["sample_id"]][row["question_index"]] for row in stored] == in_order


def test_a_stopped_run_goes_on_where_it_stopped_and_ends_with_the_same_texts(home, system, asked, monkeypatch):
    monkeypatch.setattr(generate, "BATCHES_PER_WINDOW", 1)  # two answers a window
    generate_completions(home, system, "real", "test", "whole", NoProgress())
    whole = read_partition(home / "lake", COMPLETIONS, ANSWERS, ["sample_id", "question_index", "text"])
    batches = list(asked)
    asked.clear()
    with pytest.raises(Stopped):
        generate_completions(home, system, "real", "test", "again", StopAfter(2))
    assert fingerprint_of(home / "lake", COMPLETIONS, ANSWERS) == "whole"  # the old partition stands until the end
    asked.clear()
    generate_completions(home, system, "real", "test", "again", NoProgress())
    assert asked == batches[1:]
    assert read_partition(home / "lake", COMPLETIONS, ANSWERS, whole.column_names) == whole
    assert fingerprint_of(home / "lake", COMPLETIONS, ANSWERS) == "again"


def test_a_cap_asks_the_question_that_the_reference_protocol_scores(home, system):
    assert generate_completions(home, system, "real", "test", "f", NoProgress(), max_questions=1) == 2
    for row in read_partition(home / "lake", COMPLETIONS, ANSWERS).to_pylist():
        samples = read_partition(home / "lake", SAMPLES, PLACE).to_pylist()
        count = next(len(s["questions"]) for s in samples if s["sample_id"] == row["sample_id"])
        assert [row["question_index"]] == asked_questions(row["sample_id"], count, 1)


def test_a_split_that_was_not_read_is_said_before_a_model_is_loaded(home, system, asked):
    with pytest.raises(NotMaterializedError, match="samples has nothing for dataset=real, split=train"):
        generate_completions(home, system, "real", "train", "f", NoProgress())
    assert asked == []
