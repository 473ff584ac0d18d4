"""The most probable or a sampled answer to each of several questions, token by token.

The questions about one image begin with the same tokens, and most of them are the image's. These are read once per
image, for all batches of questions that are asked together. An answer that is finished leaves the batch, so a long one
does not cost time for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.decoding import decoding, logits_of
from t2s_pipeline.prompters.prefixes import Prefix, PromptBatch, RoomyLayer, joined, read_prompts
from t2s_pipeline.prompting.combinations import PromptCombination

FINISHED_SHARE = 8
"""Finished answers leave the batch when they are one in so many of it: to remove them copies keys and values."""

_Beginning = tuple[int, str]
"""What a prompt begins with: an image, by its ``id``, and the text before it."""


@dataclass(frozen=True)
class PreparedQuestions:
    """Questions whose images have been read.

    Attributes:
        prefix: the tokens up to the image's end, one sequence per question.
        ids: the tokens after it (N, T), left-padded.
        mask: (N, T), 1 for a token and 0 for padding.
    """

    prefix: Prefix
    ids: Tensor
    mask: Tensor


class ImageReader:
    """Reads the images of several batches of questions, each image once.

    Args:
        chat: the processor.
        model: of one of the families; ``can_be_extended`` is true for it.
        combination: the prompts that the answers hold.
    """

    def __init__(self, chat: Chat, model: PreTrainedModel, combination: PromptCombination) -> None:
        self._chat, self._model, self._combination = chat, model, combination
        self._kept: Prefix | None = None
        self._rows: Mapping[_Beginning, int] = {}
        self.images = 0
        """How many images were read."""

    def read(
        self, images: Sequence[NDArray[Any]], questions: Sequence[str], later: Sequence[NDArray[Any]] = ()
    ) -> PreparedQuestions | None:
        """A batch of questions; None if their prompts cannot be split after the image.

        Args:
            images: uint8 (H, W, 3), one per question; the same object for questions about the same image.
            questions: the questions.
            later: the images of the batches that follow. They exist until they have been read. What was read of other
                images is not kept.
        """
        texts = [self._chat.render(question, self._combination) for question in questions]
        placeholder = getattr(self._chat.processor, "image_token", None)
        if not placeholder or any(text.count(placeholder) != 1 for text in texts):
            return None
        parts = [text.split(placeholder) for text in texts]
        beginnings = [(id(image), before) for image, (before, _) in zip(images, parts, strict=True)]
        tokenizer = self._chat.processor.tokenizer
        after = tokenizer([end for _, end in parts], add_special_tokens=False, padding=True, return_tensors="pt")
        first = {beginnings[row]: row for row in reversed(range(len(beginnings)))}
        new = sorted(row for beginning, row in first.items() if beginning not in self._rows)
        if new:
            features = dict(
                self._chat.processor(
                    text=[texts[row] for row in new],
                    images=[self._chat.square(images[row]) for row in new],
                    padding=True,
                    return_tensors="pt",
                )
            )
            cut = _without_ends(features, [after["input_ids"][row][after["attention_mask"][row] == 1] for row in new])
            if cut is None or (self._kept is not None and self._kept.mask.shape[1] != cut.mask.shape[1]):
                return None
            self._keep(cut, [beginnings[row] for row in new])
        if self._kept is None:  # no question
            return None
        device = self._model.device
        rows = torch.tensor([self._rows[beginning] for beginning in beginnings], device=device)
        prefix = self._kept.take(rows, RoomyLayer)
        self._drop_all_but({id(image) for image in later})
        return PreparedQuestions(prefix, after["input_ids"].to(device), after["attention_mask"].to(device))

    def _keep(self, prompts: PromptBatch, beginnings: Sequence[_Beginning]) -> None:
        """Read the beginnings of prompts and keep them."""
        new = read_prompts(self._model, prompts.to(self._model.device))
        count = len(self._rows)
        self._kept = new if self._kept is None else joined(self._kept, new)
        self._rows = {**self._rows, **{beginning: count + place for place, beginning in enumerate(beginnings)}}
        self.images += len(beginnings)

    def _drop_all_but(self, images: set[int]) -> None:
        left = [(beginning, row) for beginning, row in self._rows.items() if beginning[0] in images]
        if self._kept is None or len(left) == len(self._rows):
            return
        self._rows = {beginning: place for place, (beginning, _) in enumerate(left)}
        rows = torch.tensor([row for _, row in left], dtype=torch.long, device=self._model.device)
        self._kept = self._kept.take(rows) if left else None


def _without_ends(features: dict[str, Tensor], ends: Sequence[Tensor]) -> PromptBatch | None:
    """The prompts without their last tokens; None if they end with other tokens, or then differ in length."""
    ids, mask = features.pop("input_ids"), features.pop("attention_mask")
    places_by_row = []
    for row, end in enumerate(ends):
        if not len(end) or not torch.equal(ids[row, -len(end) :], end):
            return None
        places_by_row.append(mask[row].nonzero()[: -len(end), 0])
    if len({len(places) for places in places_by_row}) != 1:
        return None
    places = torch.stack(places_by_row)
    of_tokens = {name for name, value in features.items() if value.shape == ids.shape}
    others = {name: value.gather(1, places) if name in of_tokens else value for name, value in features.items()}
    return PromptBatch(ids.gather(1, places), torch.ones_like(places), others)


@torch.inference_mode()
def answer_tokens(
    model: PreTrainedModel, questions: PreparedQuestions, limit: int, ends: Sequence[int], temperature: float = 0.0
) -> list[list[int]]:
    """The tokens of each question's answer, up to and including the one that ends it.

    Args:
        model: of one of the families.
        questions: as ``ImageReader`` gives them. They are not to be used afterwards.
        limit: the most tokens of an answer.
        ends: the tokens that end an answer.
        temperature: the logits are divided by it before a token is sampled; 0 for the most probable token.
    """
    to_logits, batch = logits_of(model), decoding(model, questions.prefix)
    hidden = batch.read(questions.ids, questions.mask)
    stops = torch.tensor(list(ends), device=hidden.device)
    answers: list[list[int]] = [[] for _ in questions.ids]
    rows = list(range(len(answers)))
    finished = torch.zeros(len(rows), dtype=torch.bool, device=hidden.device)
    for step in range(limit):
        tokens = _choice(to_logits(hidden), temperature, rows, len(answers))
        for row, token, is_finished in zip(rows, tokens.tolist(), finished.tolist(), strict=True):
            if not is_finished:
                answers[row].append(token)
        finished |= torch.isin(tokens, stops)
        count = int(finished.sum())
        if step + 1 == limit or count == len(rows):
            break
        if count * FINISHED_SHARE >= len(rows):
            left = batch.keep(~finished)
            tokens, finished = tokens[left], finished[left]
            rows = [rows[index] for index in left.tolist()]
        hidden = batch.step(tokens)
    return answers


def _choice(logits: Tensor, temperature: float, rows: Sequence[int], count: int) -> Tensor:
    """A token for each of the ``rows`` of ``count`` answers.

    ``torch.multinomial`` divides each probability by a random number, and takes the largest quotient. The numbers are
    drawn here for all answers, as transformers' generation draws them, also for those that have left the batch.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits.float() / temperature).softmax(-1)
    noise = probabilities.new_empty((count, logits.shape[1])).exponential_(1)
    return (probabilities / noise[list(rows)]).argmax(-1)
