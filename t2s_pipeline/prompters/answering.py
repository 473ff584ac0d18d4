"""The most probable or a sampled answer to each of several questions, token by token.

The questions about one image begin with the same tokens, and most of them are the image's. These are read once per
image. An answer that is finished leaves the batch, so a long one does not cost time for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.decoding import decoding
from t2s_pipeline.prompters.prefixes import PromptBatch, RoomyLayer, head, read_prompts
from t2s_pipeline.prompting.combinations import PromptCombination

FINISHED_SHARE = 8
"""Finished answers leave the batch when they are one in so many of it: to remove them copies keys and values."""


@dataclass(frozen=True)
class SharedImages:
    """Questions whose prompts begin alike if they are about the same image.

    Attributes:
        prompts: the R distinct beginnings, up to the image's end.
        owner: (N,), the index of each question's beginning.
        ids: the tokens after it (N, T), left-padded.
        mask: (N, T), 1 for a token and 0 for padding.
    """

    prompts: PromptBatch
    owner: Tensor
    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "SharedImages":
        """The same on a device."""
        prompts = self.prompts
        images = {name: value.to(device) for name, value in prompts.images.items()}
        there = PromptBatch(prompts.ids.to(device), prompts.mask.to(device), images)
        return SharedImages(there, self.owner.to(device), self.ids.to(device), self.mask.to(device))


def shared_images(
    chat: Chat, images: Sequence[NDArray[Any]], questions: Sequence[str], combination: PromptCombination
) -> SharedImages | None:
    """The questions' prompts, with each image once; None if they cannot be split after the image.

    Args:
        chat: the processor.
        images: uint8 (H, W, 3), one per question; the same object for questions about the same image.
        questions: the questions.
        combination: the prompts that the answer holds.
    """
    texts = [chat.render(question, combination) for question in questions]
    placeholder = getattr(chat.processor, "image_token", None)
    if not placeholder or any(text.count(placeholder) != 1 for text in texts):
        return None
    parts = [text.split(placeholder) for text in texts]
    first: dict[tuple[int, str], int] = {}
    keys = [(id(image), before) for image, (before, _) in zip(images, parts, strict=True)]
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    rows = list(first.values())
    tokenizer = chat.processor.tokenizer
    after = tokenizer([end for _, end in parts], add_special_tokens=False, padding=True, return_tensors="pt")
    features = dict(
        chat.processor(
            text=[texts[row] for row in rows],
            images=[chat.square(images[row]) for row in rows],
            padding=True,
            return_tensors="pt",
        )
    )
    cut = _without_ends(features, [after["input_ids"][row][after["attention_mask"][row] == 1] for row in rows])
    if cut is None:
        return None
    index = {key: number for number, key in enumerate(first)}
    owner = torch.tensor([index[key] for key in keys])
    return SharedImages(cut, owner, after["input_ids"], after["attention_mask"])


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
    model: PreTrainedModel, questions: SharedImages, limit: int, ends: Sequence[int], temperature: float = 0.0
) -> list[list[int]]:
    """The tokens of each question's answer, up to and including the one that ends it.

    Args:
        model: of one of the families.
        questions: as ``shared_images`` gives them, on the model's device.
        limit: the most tokens of an answer.
        ends: the tokens that end an answer.
        temperature: the logits are divided by it before a token is sampled; 0 for the most probable token.
    """
    prefix = read_prompts(model, questions.prompts).take(questions.owner, RoomyLayer)
    to_logits, batch = head(model), decoding(model, prefix)
    hidden = batch.read(questions.ids, questions.mask)
    stops = torch.tensor(list(ends), device=hidden.device)
    answers: list[list[int]] = [[] for _ in questions.owner]
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
