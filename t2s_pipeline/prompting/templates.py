"""The words in which a question is asked: our own instruction, one text per prompt combination, or a text from a file.

Our instruction defines the task, asks for the reasoning in think tags and for the prompts as JSON in answer tags, as
the paper's appendix A describes. The words are ours. It exists in two lengths: ``full`` says how many points there are
and where boxes and points lie; ``short`` is the text that the embedded prompter was trained on.

A model of somebody else was trained on another text. ``read_template`` reads that text from a file.
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import OutsideFileError, outside_json, outside_toml
from t2s_pipeline.prompting.combinations import Key, PromptCombination, Role, Shape
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.vision.figures import FEWEST, MOST

LENGTHS = ("full", "short")
"""Of our own instruction."""

QUESTION, IMAGE = "{Question}", "{Image}"
"""What stands in a template for the question and for the image."""

FORMS = ("plain", "lower")
"""How a template writes the question: as it is, or in lower case and without . " ? and ! at its ends, as Seg-Zero and
VisionReasoner do."""

_COUNTS = ("no", "one", "two", "three", "four")


@dataclass(frozen=True)
class Template:
    """The text of a question to a prompter.

    Attributes:
        user: the user's turn, with ``{Question}`` and perhaps ``{Image}``. Without the latter, the image comes first.
        system: the system's turn; empty for none.
        question: how the question is written, one of ``FORMS``.
    """

    user: str
    system: str = ""
    question: str = "plain"

    def __post_init__(self) -> None:
        """Check the placeholders.

        Raises:
            InputError: if one is missing or repeated, or the form of the question is unknown.
        """
        if self.user.count(QUESTION) != 1:
            raise InputError(f"the text of the user has {QUESTION} {self.user.count(QUESTION)} times, not once")
        if self.user.count(IMAGE) > 1:
            raise InputError(
                f"the text of the user has {IMAGE} {self.user.count(IMAGE)} times, at most once is allowed"
            )
        if self.question not in FORMS:
            raise InputError(f"question = {self.question!r} is none of {', '.join(FORMS)}")

    @property
    def sha256(self) -> str:
        """Of the text, as it is recorded with the completions: of its fields as JSON with sorted keys."""
        return sha256(json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def around_image(self, question: str) -> tuple[str, str]:
        """The text of the user before and after the image."""
        if self.question == "lower":
            question = question.lower().strip('."?!')
        before, image, after = self.user.partition(IMAGE)
        texts = (before, after) if image else ("", before)
        # The question goes in last, so that nothing in it can be taken for a placeholder.
        return texts[0].replace(QUESTION, question), texts[1].replace(QUESTION, question)


def read_template(path: Path) -> Template:
    """The template in a TOML or JSON file with the keys ``user``, and perhaps ``system`` and ``question``.

    Raises:
        InputError: if the file cannot be read or is no such template; the message names it.
    """
    try:
        content = outside_json(path) if path.suffix.lower() == ".json" else outside_toml(path)
    except OutsideFileError as fault:
        raise InputError(f"The template {path} cannot be read ({fault.detail}).") from fault
    names = ("user", "system", "question")
    fits = isinstance(content, dict) and "user" in content and set(content) <= set(names)
    if not fits or not all(isinstance(value, str) for value in content.values()):
        raise InputError(
            f"The template {path} must hold the text of the user under the key `user`, and may hold texts under "
            "`system` and `question`, nothing else."
        )
    doubled = next((name for name in names if "{{" in content.get(name, "")), None)
    if doubled:
        raise InputError(f"The template {path} has {{{{ in {doubled}: write single braces, they need no escape here.")
    try:
        return Template(**content)
    except InputError as fault:
        raise InputError(f"The template {path} cannot be used: {fault}.") from fault


def own_template(
    combination: PromptCombination, coordinates: Coordinates = Coordinates.PIXELS, length: str = "short"
) -> Template:
    """Our own instruction as a template. The image comes before it, and it ends with the question."""
    return Template(f"{task(combination, coordinates, length)} {QUESTION}")


def instruction(
    question: str,
    combination: PromptCombination,
    coordinates: Coordinates = Coordinates.PIXELS,
    length: str = "short",
) -> str:
    """The text of the user's turn in our own words.

    Args:
        question: the question about the image.
        combination: the prompt combination that is asked for.
        coordinates: the unit of the answer's numbers.
        length: one of ``LENGTHS``.
    """
    return own_template(combination, coordinates, length).around_image(question)[1]


def task(combination: PromptCombination, coordinates: Coordinates = Coordinates.PIXELS, length: str = "short") -> str:
    """The part of our instruction that is the same for every question."""
    if combination.shape is Shape.ONE_OBJECT:
        objects, if_empty = "the region that answers the question as one JSON object", ""
    else:
        objects, if_empty = (
            "every object that answers the question in one JSON list",
            " If nothing fits, the list is [].",
        )
    reply = f"Reply: <think>your reasoning</think><answer>{combination.example}</answer>\nQuestion:"
    if length == "short":
        return f"Mark {objects}, {coordinates.value}.{if_empty} {reply}"
    return f"Mark {objects}, {coordinates.value}. {_contents(combination)}{if_empty}\n{reply}"


def _contents(combination: PromptCombination) -> str:
    """A sentence about each key: how many boxes or points it holds, and where they lie."""
    if combination.shape is Shape.BARE_BOXES:
        return "The list holds one tight bounding box per object: it touches the object on all four sides."
    owner = "It" if combination.shape is Shape.ONE_OBJECT else "Each object"
    if combination.kinds:
        kinds = [" and ".join(f'"{key.name}"' for key in kind.keys) for kind in combination.kinds]
        meanings = {key.name: _meaning(key) for key in combination.keys}
        return (
            f"{owner} has one of: {', or '.join(kinds)}. Take the kind that suits its shape. "
            + "; ".join(f'"{name}" is {meaning}' for name, meaning in meanings.items())
            + "."
        )
    return f"{owner} has: " + "; ".join(f'"{key.name}", {_meaning(key)}' for key in combination.keys) + "."


def _meaning(key: Key) -> str:
    if key.role is Role.BOX:
        return "the tight bounding box, which touches the target on all four sides"
    if key.role is Role.ROTATED:
        return "the tight rotated box: its centre, its sides, and the angle of the first side in degrees, clockwise"
    if key.role is Role.CHAIN:
        return f"{FEWEST} to {MOST} points along the centre line of a long target, in order"
    count = key.count or 1
    number = _COUNTS[count] if count < len(_COUNTS) else str(count)
    points = f"exactly {number} point{'s' if count > 1 else ''}"
    if key.role is Role.POSITIVE:
        return f"{points} inside the target"
    return f"{points} outside the target and close to it"


def answer_text(thought: str, answer_json: str) -> str:
    """A completion as the instruction asks for it."""
    return f"<think>{thought}</think><answer>{answer_json}</answer>"
