"""Train the miniature prompter: ``python -m t2s_pipeline.miniature.train_prompter --out DIR``.

There are three phases, and each one starts with the weights of the one before:

1. *look*: the vision tower and the first layers learn what covers each cell and where its box is, through read-out
   layers that are removed afterwards. The read-outs of the second layer use the model's own embeddings: a cell's
   category is read with the embedding of its name, and its box with the embeddings of the numbers. So the cells
   already hold what an answer must copy, in the form in which it is written.
2. *answer*: correct prompts for every prompt combination; the read-outs continue as an auxiliary loss. In one layer,
   two attention heads are also trained where to attend: while the numbers of an object are written, to the cells that
   show it. Without this loss, a model of this size needs thousands of steps to learn to attend to the image.
3. *careless*: most answers are imprecise (lessons.imprecise), some are correct. The result takes the place of an
   off-the-shelf model: it knows the format and localizes badly, but sampling still finds good prompts.
"""

import argparse
import csv
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from t2s_pipeline.datasets.synthetic.queries import CATEGORIES
from t2s_pipeline.miniature.lessons import (
    OTHERWISE,
    SUITABLE,
    TAUGHT,
    VOCABULARIES,
    LessonObject,
    Lessons,
    fitted,
    imprecise,
    lesson_object,
    paint_lessons,
    questions,
    thought,
)
from t2s_pipeline.miniature.prompter import SHAPES, PrompterShape, build_model, build_processor, train_tokenizer
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS, PromptCombination, Shape
from t2s_pipeline.prompting.templates import answer_text, instruction
from t2s_pipeline.vision.geometry import Frame

EMPTY_SHARE = 0.06
"""Share of questions about a category that the scene does not have."""
GAZE_LAYER = 3
"""The layer of the text model (0-based) whose heads learn where to attend: late enough to know what is asked, early
enough to write what was read from the image."""
IGNORE = -100
"""The label of tokens that have no loss."""


@dataclass(frozen=True)
class Schedule:
    """Steps and learning rates of the three phases."""

    look_steps: int = 300
    answer_steps: int = 4000
    careless_steps: int = 400
    scenes_per_step: int = 12
    questions_per_scene: int = 4
    look_rate: float = 1.5e-3
    answer_rate: float = 1.2e-3
    careless_rate: float = 3e-4
    careless_share: float = 0.7
    auxiliary: float = 0.5
    sigma: float = 1.5
    default_share: float = 0.3
    scenes: int = 16_000
    seed: int = 0


class Heads(nn.Module):
    """Read-outs that are removed after the training.

    From the visual tokens they read categories and the sides of boxes, from the second layer categories and boxes.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.cover = nn.Linear(hidden, len(CATEGORIES))
        self.sides = nn.Linear(hidden, 4)
        self.kind = nn.Linear(hidden, hidden)
        self.box = nn.Linear(hidden, 4 * hidden)


@dataclass(frozen=True)
class Batch:
    """A batch of rows: a scene with one instruction, followed by several questions with their answers.

    A question and its answer attend to the image and the instruction, but not to the other questions: ``segment`` is 0
    for the tokens that a whole row shares, then 1, 2, …, and -1 for padding. This halves the tokens per answer.
    """

    ids: torch.Tensor  # (scenes, t), right-padded
    labels: torch.Tensor  # (scenes, t), IGNORE outside the answers
    segment: torch.Tensor  # (scenes, t)
    gaze: torch.Tensor  # (scenes, t, cells²), bool: the cells of the object whose number this token is
    pixels: torch.Tensor  # patches as the processor makes them
    grid: torch.Tensor  # (scenes, 3)
    cover: torch.Tensor  # (scenes, cells², categories)
    cell_box: torch.Tensor  # (scenes, cells², 4), NaN where there is no object

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(*(getattr(self, item.name).to(device) for item in fields(self)))


@dataclass
class LessonRow:
    """The tokens of one scene with its questions and answers."""

    scene: int
    ids: list[int]
    labels: list[int]
    segment: list[int]
    gaze: dict[int, np.ndarray] = field(default_factory=dict)
    """For the tokens that are numbers of an object: the cells (cells²) that show it."""


class LessonBatches:
    """Makes batches: chooses scenes, prompt combinations, categories and questions, and writes the target answers.

    ``vocabulary`` names the prompt combinations of the answers.
    """

    def __init__(
        self,
        lessons: Lessons,
        processor: Qwen2_5_VLProcessor,
        shape: PrompterShape,
        schedule: Schedule,
        vocabulary: Sequence[str] = TAUGHT,
    ) -> None:
        self.lessons, self.processor, self.shape, self.schedule = lessons, processor, shape, schedule
        self.frame = Frame.square(shape.side)
        self.others = [name for name in vocabulary if name != DEFAULT_COMBINATION]
        self.numbers = set(number_tokens(processor.tokenizer, shape).tolist())

    def batches(self, rng: np.random.Generator, careless: float) -> Iterator[Batch]:
        """Batches without end. Eight are made together and sorted by length, so that there is little padding."""
        at_once, size = 8, self.schedule.scenes_per_step
        while True:
            scenes = rng.integers(len(self.lessons), size=at_once * size)
            rows = [self._row(rng, int(scene), careless) for scene in scenes]
            rows.sort(key=lambda row: len(row.ids))
            for part in rng.permutation(at_once):
                yield self._batch(rng, rows[part * size : (part + 1) * size])

    def _batch(self, rng: np.random.Generator, rows: list[LessonRow]) -> Batch:
        length = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), length), self.processor.tokenizer.pad_token_id)
        labels = torch.full((len(rows), length), IGNORE)
        segment = torch.full((len(rows), length), -1)
        gaze = torch.zeros((len(rows), length, self.shape.cells**2), dtype=torch.bool)
        for at, row in enumerate(rows):
            ids[at, : len(row.ids)] = torch.tensor(row.ids)
            labels[at, : len(row.ids)] = torch.tensor(row.labels)
            segment[at, : len(row.ids)] = torch.tensor(row.segment)
            for token, cells in row.gaze.items():
                gaze[at, token] = torch.from_numpy(cells)
        scenes = np.array([row.scene for row in rows])
        images = torch.from_numpy(self.lessons.images[scenes]).permute(0, 3, 1, 2)
        # Each time that a scene is used, its light and contrast change a little.
        gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(scenes), 3, 1, 1)).astype(np.float32))
        images = (images * gain + torch.randn(images.shape) * 4).clamp(0, 255).to(torch.uint8)
        features = self.processor.image_processor(list(images), return_tensors="pt")
        return Batch(
            ids,
            labels,
            segment,
            gaze,
            features.pixel_values,
            features.image_grid_thw,
            torch.from_numpy(self.lessons.cover[scenes].astype(np.float32)).clamp(0, 1),
            torch.from_numpy(self.lessons.cell_box[scenes]),
        )

    def _row(self, rng: np.random.Generator, scene: int, careless: float) -> LessonRow:
        """One scene with its questions and answers."""
        tokenizer = self.processor.tokenizer
        objects = self.lessons.objects[scene]
        name = DEFAULT_COMBINATION if rng.random() < self.schedule.default_share else str(rng.choice(self.others))
        shared = tokenizer(self._shared(name)).input_ids
        row = LessonRow(scene, list(shared), [IGNORE] * len(shared), [0] * len(shared))
        kinds = list(rng.permutation(list(objects)))
        while len(kinds) < self.schedule.questions_per_scene:
            kinds.append(rng.choice(list(objects)))
        for number, kind in enumerate(kinds[: self.schedule.questions_per_scene], start=1):
            question, answer, objects_of_numbers = self._example(rng, objects, int(kind), name, careless)
            question_ids = tokenizer(f"{question}<|im_end|>\n<|im_start|>assistant\n").input_ids
            answer_ids = tokenizer(f"{answer}<|im_end|>").input_ids
            begin = len(row.ids) + len(question_ids)
            written = [begin + at for at, token in enumerate(answer_ids) if token in self.numbers]
            for token, targets in zip(written, objects_of_numbers, strict=True):
                row.gaze[token] = self._cells(scene, targets)
            row.ids += question_ids + answer_ids
            row.labels += [IGNORE] * len(question_ids) + answer_ids
            row.segment += [number] * (len(question_ids) + len(answer_ids))
        return row

    def _cells(self, scene: int, targets: Sequence[LessonObject]) -> np.ndarray:
        """The cells (cells²) that show these objects."""
        boxes = self.lessons.cell_box[scene]
        shown = np.zeros(len(boxes), bool)
        for item in targets:
            cells: np.ndarray = (boxes == np.asarray(item.box, np.float32)).all(1)
            if not cells.any():
                # In all of its cells another object covers more: take the cell at its centre.
                x, y = ((item.box[i] + item.box[i + 2]) / 2 * self.shape.cells / self.shape.side for i in (0, 1))
                cells[int(y) * self.shape.cells + int(x)] = True
            shown |= cells
        return shown

    def _shared(self, name: str) -> str:
        """The chat up to the question, with one placeholder per visual token."""
        turn = [{"type": "image"}, {"type": "text", "text": instruction("", PROMPT_COMBINATIONS[name])}]
        chat: list[Any] = [{"role": "user", "content": turn}]
        text: Any = self.processor.apply_chat_template(chat, tokenize=False)
        return str(text).removesuffix("<|im_end|>\n").replace("<|image_pad|>", "<|image_pad|>" * self.shape.cells**2)

    def _example(
        self,
        rng: np.random.Generator,
        objects: dict[int, tuple[LessonObject, ...]],
        kind: int,
        name: str,
        careless: float,
    ) -> tuple[str, str, list[Sequence[LessonObject]]]:
        """A question, its target answer, correct or imprecise, and for each number of the answer the objects it is of.

        An answer that holds one object is about all that it marks.
        """
        combination = PROMPT_COMBINATIONS[name]
        poor = rng.random() < careless
        marked = objects[kind]
        if rng.random() < EMPTY_SHARE and name != "seg-zero":
            kind = int(rng.choice([other for other in range(len(CATEGORIES)) if other not in objects]))
            # The careless answer to a question about a missing target marks another object.
            marked = marked[:1] if poor else ()
        target = imprecise(rng, marked, self.frame) if poor else marked
        prompts = fitted(target, combination, self._kinds(rng, target, combination, poor))
        options = questions(kind)
        question = options[rng.integers(len(options))]
        owners: list[Sequence[LessonObject]] = []
        for at, item in enumerate(prompts):
            targets = marked if combination.shape is Shape.ONE_OBJECT else marked[at : at + 1]
            tokens = self.processor.tokenizer(combination.render((item,))).input_ids
            owners += [targets] * sum(token in self.numbers for token in tokens)
        return question, answer_text(thought(kind, len(prompts)), combination.render(prompts)), owners

    def _kinds(
        self, rng: np.random.Generator, objects: Sequence[LessonObject], combination: PromptCombination, poor: bool
    ) -> list[str]:
        """The kind of each object of an answer that chooses: a suitable one, or any in a careless answer."""
        if poor:
            names = [form.name for form in combination.kinds]
            return [names[rng.integers(len(names))] for _ in objects] if names else []
        return [SUITABLE.get(item.morphology, OTHERWISE) for item in objects]


class PrompterLosses:
    """The model with its temporary read-outs, and the losses of both."""

    def __init__(
        self,
        model: Qwen2_5_VLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        shape: PrompterShape,
        schedule: Schedule,
    ) -> None:
        self.model, self.shape, self.schedule = model, shape, schedule
        embed = model.model.visual.patch_embed
        # The patches of the convolution do not overlap: a matrix product gives the same, several times faster on a CPU.
        embed.forward = lambda patches: functional.linear(patches, embed.proj.weight.flatten(1))
        self.device = device = model.device
        self.heads = Heads(shape.hidden_size).to(device)
        # The token of each number from 0 to the side, and of the first word of each category's name.
        self.numbers = numbers = number_tokens(tokenizer, shape).to(device)
        self.names = torch.tensor([tokenizer(" " + name.split("_")[0]).input_ids[0] for name in CATEGORIES]).to(device)
        self.number_of = torch.full((cast(Any, model.config.text_config).vocab_size,), -1, device=device)
        self.number_of[numbers] = torch.arange(len(numbers), device=device)
        grid = torch.arange(shape.cells, device=device) * (shape.side / shape.cells) + shape.side / shape.cells / 2
        ys, xs = torch.meshgrid(grid, grid, indexing="ij")
        self.centres = torch.stack([xs, ys, xs, ys], -1).reshape(-1, 4)  # (cells², 4) pixels

    def losses(self, batch: Batch, answers: bool) -> dict[str, torch.Tensor]:
        """All losses of a batch; without ``answers``, the text ends after the image."""
        batch = batch.to(self.device)
        core: Any = self.model.model
        scenes, cells = len(batch.grid), self.shape.cells**2
        visual = core.visual(batch.pixels, grid_thw=batch.grid).pooler_output.view(scenes, cells, -1)
        has_object = ~torch.isnan(batch.cell_box[..., 0])
        target = torch.nan_to_num(batch.cell_box) / self.shape.side
        sides = target - self.centres / self.shape.side
        losses = {
            "cover": 5 * functional.binary_cross_entropy_with_logits(self.heads.cover(visual), batch.cover),
            "sides": 10 * functional.smooth_l1_loss(self.heads.sides(visual)[has_object], sides[has_object], beta=0.02),
        }
        image_end = int((batch.ids[0] == self.model.config.image_token_id).nonzero().max()) + 1
        end = batch.ids.shape[1] if answers else image_end
        ids, segment = batch.ids[:, :end], batch.segment[:, :end]
        at = ids == self.model.config.image_token_id
        embeds = core.get_input_embeddings()(ids).masked_scatter(at.unsqueeze(-1), visual)
        position, visible = self._positions(ids, segment, at, batch.grid), _visible(segment)
        out = core.language_model(
            inputs_embeds=embeds,
            position_ids=position,
            attention_mask={"full_attention": visible},
            output_hidden_states=True,
            use_cache=False,
        )
        early = core.language_model.norm(out.hidden_states[2])[at].view(scenes, cells, -1)
        words = self.model.lm_head.weight
        kinds = self.heads.kind(early) @ words[self.names].T
        losses["kind"] = 5 * functional.binary_cross_entropy_with_logits(kinds, batch.cover)
        boxes = self.heads.box(early[has_object]).unflatten(-1, (4, -1)) @ words[self.numbers].T
        losses["box"] = self._number_loss(functional.log_softmax(boxes, -1), batch.cell_box[has_object].round().long())
        if answers:
            losses |= self._answer_losses(out.last_hidden_state, batch.labels)
            losses["gaze"] = self._gaze_loss(out.hidden_states[GAZE_LAYER], position, visible, at[0], batch.gaze)
        return losses

    def _gaze_loss(
        self,
        hidden: torch.Tensor,
        position: torch.Tensor,
        visible: torch.Tensor,
        at: torch.Tensor,
        gaze: torch.Tensor,
    ) -> torch.Tensor:
        """The mean of -log of the share of attention that two heads give to the cells to attend to.

        They are the first heads of each key-value group of one layer. The position before a token predicts it.

        Args:
            hidden: (scenes, t, hidden), the input of the layer.
            position: rotary positions (3, scenes, t).
            visible: as from ``_visible``.
            at: (t,), bool: the visual tokens.
            gaze: as in ``Batch``.
        """
        text: Any = self.model.model.language_model
        layer = text.layers[GAZE_LAYER]
        attention = layer.self_attn
        normed = layer.input_layernorm(hidden)
        queries = attention.q_proj(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        keys = attention.k_proj(normed).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        queries = queries[:, :: attention.num_key_value_groups]
        queries, keys = apply_rotary_pos_emb(queries, keys, *text.rotary_emb(normed, position))
        scores = (queries @ keys.transpose(-1, -2) * attention.scaling).masked_fill(~visible, -torch.inf)
        share: torch.Tensor = (
            scores.log_softmax(-1)[..., at].masked_fill(~gaze.roll(-1, 1)[:, None], -1e4).logsumexp(-1)
        )
        return -share.transpose(1, 2)[gaze.any(-1).roll(-1, 1)].mean()

    def _positions(
        self, ids: torch.Tensor, segment: torch.Tensor, at: torch.Tensor, grid: torch.Tensor
    ) -> torch.Tensor:
        """Rotary positions (3, scenes, t): each question continues after the shared part."""
        # The image is at the same place in every row, so the positions of one row are right for all.
        first, _ = self.model.model.get_rope_index(ids[:1], mm_token_type_ids=at[:1].int(), image_grid_thw=grid[:1])
        position = first.repeat(1, len(ids), 1)
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        begins = torch.where((segment > 0) & (segment != segment.roll(1, 1)), index, 0).cummax(1).values
        shared = (segment == 0).sum(1, keepdim=True)
        return torch.where(segment > 0, position - (begins - shared), position)

    def _answer_losses(self, hidden: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy. The target of a coordinate includes its neighbours, because 57 is nearly right for 58."""
        targets = labels[:, 1:]
        use = targets != IGNORE
        targets = targets[use]
        logs = functional.log_softmax(self.model.lm_head(hidden[:, :-1][use]).float(), -1)
        value = self.number_of[targets]
        is_number = value >= 0
        text = -logs[~is_number].gather(1, targets[~is_number, None]).sum()
        number = self._number_loss(logs[is_number][:, self.numbers], value[is_number])
        answer = (text + number * is_number.sum()) / len(targets)
        return {"answer": answer, "number": number.detach()}

    def _number_loss(self, logs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of log-probabilities (…, numbers) with a bell of width ``sigma`` at each value (…)."""
        offsets = torch.arange(len(self.numbers), device=value.device) - value.unsqueeze(-1)
        soft = torch.softmax(-0.5 * (offsets / self.schedule.sigma) ** 2, -1)
        return -(soft * logs).sum(-1).mean()


def _visible(segment: torch.Tensor) -> torch.Tensor:
    """Which token attends to which: (scenes, 1, t, t), to earlier ones of its segment and of the shared part."""
    same = segment[:, :, None] == segment[:, None, :]
    return ((same | (segment[:, None, :] == 0)).tril())[:, None]


@dataclass(frozen=True)
class Phase:
    """One of the three phases of the training."""

    name: str
    steps: int
    rate: float
    careless: float = 0.0
    """Share of imprecise answers."""
    seconds: float = 0.0
    """The longest time that it may take; 0 for no limit."""


class PrompterTraining:
    """A training with its output folder.

    Args:
        out: the folder for the model, its curve and its settings.
        schedule: steps and learning rates.
        shape: of the model.
        start: the folder of an earlier training, or of a prompter, whose weights and tokenizer are taken.
        vocabulary: one of ``VOCABULARIES``.
        device: of the network.
    """

    def __init__(
        self,
        out: Path,
        schedule: Schedule,
        shape: PrompterShape,
        start: Path | None,
        vocabulary: str = "boxes-and-points",
        device: str = "cpu",
    ) -> None:
        self.out, self.schedule, self.shape, self.vocabulary = out, schedule, shape, vocabulary
        self.device = device
        taught = VOCABULARIES[vocabulary]
        torch.manual_seed(schedule.seed)
        self.rng = np.random.default_rng(schedule.seed)
        out.mkdir(parents=True, exist_ok=True)
        # Weights know the tokens that they were trained with.
        tokenizer = stored_tokenizer(start) if start else train_tokenizer(corpus(shape, taught), shape)
        self.processor = build_processor(tokenizer, shape)
        self.model = build_model(tokenizer, shape, schedule.seed)
        nn.Module.to(self.model, device)  # transformers gives its own method another type
        self.losses = PrompterLosses(self.model, tokenizer, shape, schedule)
        if start:
            state = stored_weights(start)
            for part, name in ((self.model, "model."), (self.losses.heads, "heads.")):
                _load_fitting(part, state, name)
        begun = time.monotonic()
        workers = os.cpu_count() or 1
        lessons = paint_lessons(schedule.scenes, shape.side, shape.cells, schedule.seed + 7_000, workers)
        print(f"{len(lessons)} scenes painted in {time.monotonic() - begun:.0f} s", flush=True)
        self.batches = LessonBatches(lessons, self.processor, shape, schedule, taught)

    def run(self, phases: Sequence[Phase]) -> None:
        """Train the phases; write the curve, and the weights at regular steps."""
        with (self.out / "curve.csv").open("w", newline="") as handle:
            names = ["phase", "step", "seconds", "answer", "number", "cover", "sides", "kind", "box", "gaze"]
            writer = csv.DictWriter(handle, names, restval="")
            writer.writeheader()
            for phase in phases:
                for row in self._run_phase(phase):
                    writer.writerow(row)
                    handle.flush()
                    print(row, flush=True)

    def _run_phase(self, phase: Phase) -> Iterator[dict[str, Any]]:
        """Train one phase, with cosine decay after a short warm-up; yield rows of the curve."""
        parameters = [*self.model.parameters(), *self.losses.heads.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=phase.rate, betas=(0.9, 0.98), weight_decay=0.01)
        auxiliary = 1.0 if phase.name == "look" else self.schedule.auxiliary
        batches = self.batches.batches(self.rng, phase.careless)
        begun = time.monotonic()
        for step in range(1, phase.steps + 1):
            # The finished share of the phase, in steps or in time, whichever is larger.
            done = max(step / phase.steps, (time.monotonic() - begun) / phase.seconds if phase.seconds else 0)
            if done >= 1 and step < phase.steps:
                print(f"{phase.name}: stopped at the time limit after {step} steps", flush=True)
                break
            for group in optimizer.param_groups:
                decay = 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(done, 1)))
                group["lr"] = phase.rate * min(1, step / 100) * decay
            losses = self.losses.losses(next(batches), answers=phase.name != "look")
            weighted = [v * (1 if k == "answer" else auxiliary) for k, v in losses.items() if k != "number"]
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(sum(weighted[1:], start=weighted[0]))
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            if step % 25 == 0 or step == phase.steps:
                row = {"phase": phase.name, "step": step, "seconds": round(time.monotonic() - begun, 1)}
                yield row | {key: round(value.item(), 4) for key, value in losses.items()}
            if step % 500 == 0:
                self._save(phase.name, step)
        self._save(phase.name, phase.steps)

    def _save(self, phase: str, step: int) -> None:
        """Write the weights (all in float32 to continue from, the model's in float16 to use) and the settings."""
        weights = self.model.state_dict()
        state = {f"model.{k}": v.contiguous() for k, v in weights.items() if k != "lm_head.weight"}
        state |= {f"heads.{k}": v for k, v in self.losses.heads.state_dict().items()}
        save_file(state, self.out / "training.safetensors")
        model: Any = self.model  # transformers has no types for the methods that convert a model
        model.half().save_pretrained(self.out)
        model.float()
        self.model.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("model.")}, strict=False)
        cast(Any, self.processor).save_pretrained(self.out)  # transformers has no types here
        settings: dict[str, object] = {"schedule": asdict(self.schedule), "shape": asdict(self.shape)}
        settings |= {"vocabulary": self.vocabulary, "phase": phase, "step": step, "device": self.device}
        (self.out / "training.json").write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Train the phases that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, its curve and its settings")
    parser.add_argument("--start", type=Path, help="folder of a training or a prompter whose weights are loaded")
    parser.add_argument("--phases", nargs="+", default=["look", "answer", "careless"])
    parser.add_argument("--minutes", type=float, default=0, help="time limit of the answer phase; 0 for none")
    parser.add_argument("--size", default="mini", choices=SHAPES, help="of the network")
    parser.add_argument("--vocabulary", default="boxes-and-points", choices=VOCABULARIES, help="kinds of prompts")
    parser.add_argument("--device", default="cpu", help="of the network, as torch names it")
    for name, value in asdict(Schedule()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    if args.start and not (args.start / "tokenizer.json").is_file():
        parser.error(
            f"--start {args.start}: there is no tokenizer.json, so it is no folder of a training or a prompter."
        )
    schedule = replace(Schedule(), **{key: getattr(args, key) for key in asdict(Schedule())})
    phases = {
        "look": Phase("look", schedule.look_steps, schedule.look_rate),
        "answer": Phase("answer", schedule.answer_steps, schedule.answer_rate, seconds=args.minutes * 60),
        "careless": Phase("careless", schedule.careless_steps, schedule.careless_rate, schedule.careless_share),
    }
    training = PrompterTraining(args.out, schedule, SHAPES[args.size], args.start, args.vocabulary, args.device)
    training.run([phases[name] for name in args.phases])


def stored_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in the folder of a training or of a prompter."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def stored_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a training with its read-outs, or those of a prompter; names begin with ``model.``, ``heads.``."""
    training = folder / "training.safetensors"
    if training.is_file():
        return load_file(training)
    load = Qwen2_5_VLForConditionalGeneration.from_pretrained
    model = load(folder, dtype=torch.float32, local_files_only=True)
    return {f"model.{name}": value for name, value in model.state_dict().items() if name != "lm_head.weight"}


def _load_fitting(part: nn.Module, state: dict[str, torch.Tensor], prefix: str) -> None:
    """Load each tensor whose shape fits: also a start of another shape gives its vision tower and its embeddings."""
    current = part.state_dict()
    stored = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    fits = {key: value for key, value in stored.items() if key in current and current[key].shape == value.shape}
    part.load_state_dict(fits, strict=False)
    print(f"{len(fits)} of {len(current)} tensors of {prefix[:-1]} loaded", flush=True)


def number_tokens(tokenizer: PreTrainedTokenizerFast, shape: PrompterShape) -> torch.Tensor:
    """The tokens of the numbers from 0 to the side of the square."""
    return torch.tensor(tokenizer.convert_tokens_to_ids([str(number) for number in range(shape.side + 1)]))


def corpus(shape: PrompterShape, vocabulary: Sequence[str] = TAUGHT) -> list[str]:
    """The texts that the tokenizer is trained on: all instructions, questions, thoughts and forms of an answer."""
    lines: list[str] = []
    for kind in range(len(CATEGORIES)):
        lines += [thought(kind, count) for count in range(5)] * 5
        for question in questions(kind):
            lines += [instruction(question, PROMPT_COMBINATIONS[name]) for name in vocabulary]
    two = (lesson_object(_EXAMPLE), lesson_object(_EXAMPLE))
    for combination in (PROMPT_COMBINATIONS[name] for name in vocabulary):
        many = combination.shape.name != "ONE_OBJECT"
        kinds = [form.name for form in combination.kinds[-2:]]
        lines += [answer_text("", combination.render(fitted(two, combination, kinds)))] * 200
        lines += [answer_text("", "[]")] * (50 if many else 0)
    return lines


_EXAMPLE = np.pad(np.ones((2, 5), bool), 2)
"""A mask: of its answers, only the keys and signs matter to the tokenizer."""


if __name__ == "__main__":
    main()
