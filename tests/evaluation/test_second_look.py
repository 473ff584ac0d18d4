"""Two turns: the second answer is given to the picture with the first mask in it, and counts."""

import numpy as np
import pytest

from t2s_pipeline.vision.second_look import MARK, marked


def test_the_mask_is_tinted_with_an_outline_and_nothing_else_changes():
    square = np.full((20, 20, 3), 100, np.uint8)
    mask = np.zeros((20, 20), bool)
    mask[5:10, 5:10] = True
    picture = marked(square, mask)
    assert (picture[~mask] == 100).all()
    # 0.65 · 100 + 0.35 · 255 and 0.65 · 100.
    assert picture[7, 7].tolist() == [154, 65, 154]
    assert picture[5, 7].tolist() == list(MARK) and picture[9, 9].tolist() == list(MARK)
    assert np.array_equal(marked(square, np.zeros_like(mask)), square)
    assert (square == 100).all(), "the square itself stays"


@pytest.mark.worker
def test_the_second_answer_sees_the_first_mask_and_counts():
    pytest.importorskip("torch")
    from t2s_pipeline.core.settings import Settings
    from t2s_pipeline.evaluation.second_look import SecondLook
    from t2s_pipeline.prompters.base import Completion
    from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
    from t2s_pipeline.prompting.second_look import second_question
    from t2s_pipeline.prompting.templates import answer_text
    from t2s_pipeline.segmenters.load import load_segmenter
    from t2s_pipeline.systems.resolve import resolve
    from t2s_pipeline.vision.geometry import Frame, PromptObject

    combination, seen = PROMPT_COMBINATIONS["bbox+pos2"], []
    object_ = PromptObject((40, 40, 120, 120), ((70, 70), (90, 90)))

    class Scripted:
        frame = answers = Frame.square(168)

        def answer(self, images, questions, combination, settings):
            seen.append((images, questions))
            text = answer_text("t", combination.render([object_] if len(seen) == 1 else []))
            return [Completion(text, 10, "stop", 1.0) for _ in images]

    ys, xs = np.mgrid[:168, :168]
    square = np.full((168, 168, 3), 90, np.uint8)
    square[(xs - 80) ** 2 + (ys - 80) ** 2 < 900] = 230
    system = resolve("zero-shot-mini", Settings.from_env(), ["recipe.turns=2"])
    look = SecondLook(Scripted(), load_segmenter("sam2-mini"), system)
    [completion] = look.answer([square, square][:1], ["where?"], combination, system.generation)
    (plain, first), (drawn, second) = seen
    assert (first, second) == (["where?"], [second_question("where?")])
    assert plain[0] is square and (drawn[0] == MARK).all(axis=2).any()
    assert completion == Completion(answer_text("t", "[]"), 20, "stop", 2.0)
