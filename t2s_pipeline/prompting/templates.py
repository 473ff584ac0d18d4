"""The instruction that asks the question: one text for every schema, naming exactly its keys and counts.

It defines the task, asks for the reasoning in think tags and for the prompts as JSON in answer tags, as the
paper's appendix A describes. The words are ours.
"""

from t2s_pipeline.prompting.schemas import PromptSchema, Shape


def instruction(question: str, schema: PromptSchema) -> str:
    """The text of the user's turn; the image stands before it."""
    if schema.shape is Shape.ONE_OBJECT:
        task, none = "Mark the region that answers it as one JSON object", ""
    else:
        task, none = "Mark every object that answers it in one JSON list", " If nothing fits, the list is []."
    return (
        f"{question}\n{task}, in pixels of this overhead image.{none} "
        f"Reply: <think>your reasoning</think><answer>{schema.example}</answer>"
    )


def answer_text(thought: str, answer_json: str) -> str:
    """A completion as the instruction asks for it."""
    return f"<think>{thought}</think><answer>{answer_json}</answer>"
