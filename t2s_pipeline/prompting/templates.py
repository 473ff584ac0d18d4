"""The instruction that asks the question: one text per prompt combination, which names exactly its keys and counts.

It defines the task, asks for the reasoning in think tags and for the prompts as JSON in answer tags, as the
paper's appendix A describes. The words are ours.
"""

from t2s_pipeline.prompting.combinations import PromptCombination, Shape
from t2s_pipeline.prompting.coordinates import Coordinates


def instruction(question: str, combination: PromptCombination, coordinates: Coordinates = Coordinates.PIXELS) -> str:
    """The text of the user's turn. The image comes before it, and it ends with the question.

    Args:
        question: the question about the image.
        combination: the prompt combination that is asked for.
        coordinates: the unit of the answer's numbers.
    """
    return f"{task(combination, coordinates)} {question}"


def task(combination: PromptCombination, coordinates: Coordinates = Coordinates.PIXELS) -> str:
    """The part of the instruction that is the same for every question."""
    if combination.shape is Shape.ONE_OBJECT:
        objects, if_empty = "the region that answers the question as one JSON object", ""
    else:
        objects, if_empty = (
            "every object that answers the question in one JSON list",
            " If nothing fits, the list is [].",
        )
    return (
        f"Mark {objects}, {coordinates.value}.{if_empty} "
        f"Reply: <think>your reasoning</think><answer>{combination.example}</answer>\nQuestion:"
    )


def answer_text(thought: str, answer_json: str) -> str:
    """A completion as the instruction asks for it."""
    return f"<think>{thought}</think><answer>{answer_json}</answer>"
