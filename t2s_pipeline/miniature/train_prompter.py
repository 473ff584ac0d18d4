"""Train the miniature prompter: ``python -m t2s_pipeline.miniature.train_prompter --out DIR``.

Three phases, each from where the last one ended:

1. *look*: the vision tower and the first layers learn what covers each cell and where its box lies, through
   read-outs that are thrown away afterwards. Those of the second layer speak the model's own words: a cell's kind
   is read with the embedding of its name, its box with those of the numbers, so that what an answer will have to
   copy is already there in the form it is written in;
2. *answer*: true prompts for every combination, the read-outs still on as an auxiliary loss. In one layer, two heads
   are also told where to look: while an object's numbers are written, at the cells that show it. Left to itself a model
   of this size takes thousands of steps to find out that looking helps;
3. *careless*: most answers are imprecise (lessons.imprecise), some are true. What comes out plays the part of an
   off-the-shelf model: it speaks the format and localizes badly, but sampling still finds good prompts.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from t2s_pipeline.datasets.synthetic.queries import CATEGORIES
from t2s_pipeline.miniature.lessons import Lessons, draw_lessons, fitted, imprecise, questions, thought
from t2s_pipeline.miniature.prompter import PrompterShape, build_model, build_processor, train_tokenizer
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS, PromptCombination, Shape
from t2s_pipeline.prompting.templates import answer_text, instruction
from t2s_pipeline.vision.geometry import Frame, PromptObject

EMPTY_SHARE = 0.06
GAZE_LAYER = 3
"""Of the text model, from 0: late enough to know what is asked, early enough to write what was found."""
IGNORE = -100


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
    """Throw-away read-outs: from visual tokens their kinds and box sides, from the second layer kinds and boxes."""

    def __init__(self, hidden: int):
        super().__init__()
        self.cover = nn.Linear(hidden, len(CATEGORIES))
        self.sides = nn.Linear(hidden, 4)
        self.kind = nn.Linear(hidden, hidden)
        self.box = nn.Linear(hidden, 4 * hidden)


@dataclass(frozen=True)
class Batch:
    """Scenes, each with one instruction and several questions with their answers behind it in one row.

    A question and its answer see the image and the instruction but not the other questions: ``segment`` is 0 for
    what all of a row share, then 1, 2, … and -1 for padding. That halves the tokens an answer costs.
    """

    ids: torch.Tensor  # (scenes, t), right-padded
    labels: torch.Tensor  # (scenes, t), IGNORE outside the answers
    segment: torch.Tensor  # (scenes, t)
    gaze: torch.Tensor  # (scenes, t, cells²), bool: the cells of the object whose number this token is
    pixels: torch.Tensor  # patches as the processor makes them
    grid: torch.Tensor  # (scenes, 3)
    cover: torch.Tensor  # (scenes, cells², categories)
    cell_box: torch.Tensor  # (scenes, cells², 4), NaN where nothing is


class Teacher:
    """Makes batches: draws scenes, combinations, categories and questions, and writes the wanted answers."""

    def __init__(self, lessons: Lessons, processor, shape: PrompterShape, schedule: Schedule):
        self.lessons, self.processor, self.shape, self.schedule = lessons, processor, shape, schedule
        self.frame = Frame.square(shape.side)
        self.others = [name for name in PROMPT_COMBINATIONS if name != DEFAULT_COMBINATION]
        self.numbers = set(number_tokens(processor.tokenizer, shape).tolist())

    def batches(self, rng: np.random.Generator, careless: float) -> Iterator[Batch]:
        """Endless batches. Eight are drawn at a time and dealt out by length, so that little is padding."""
        at_once, size = 8, self.schedule.scenes_per_step
        while True:
            scenes = rng.integers(len(self.lessons), size=at_once * size)
            drawn = [(scene, *self._row(rng, scene, careless)) for scene in scenes]
            drawn.sort(key=lambda row: len(row[1]))
            for part in rng.permutation(at_once):
                yield self._batch(rng, drawn[part * size : (part + 1) * size])

    def _batch(self, rng: np.random.Generator, rows: list) -> Batch:
        length = max(len(row[1]) for row in rows)
        ids = torch.full((len(rows), length), self.processor.tokenizer.pad_token_id)
        labels = torch.full((len(rows), length), IGNORE)
        segment = torch.full((len(rows), length), -1)
        gaze = torch.zeros((len(rows), length, self.shape.cells**2), dtype=torch.bool)
        for at, (_, row_ids, row_labels, row_segment, row_gaze) in enumerate(rows):
            ids[at, : len(row_ids)] = torch.tensor(row_ids)
            labels[at, : len(row_ids)] = torch.tensor(row_labels)
            segment[at, : len(row_ids)] = torch.tensor(row_segment)
            for token, shown in row_gaze.items():
                gaze[at, token] = torch.from_numpy(shown)
        picks = np.array([row[0] for row in rows])
        images = torch.from_numpy(self.lessons.images[picks]).permute(0, 3, 1, 2)
        # A little light and contrast of its own for every showing of a scene.
        gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(picks), 3, 1, 1)).astype(np.float32))
        images = (images * gain + torch.randn(images.shape) * 4).clamp(0, 255).to(torch.uint8)
        seen = self.processor.image_processor(list(images), return_tensors="pt")
        return Batch(
            ids,
            labels,
            segment,
            gaze,
            seen.pixel_values,
            seen.image_grid_thw,
            torch.from_numpy(self.lessons.cover[picks].astype(np.float32)).clamp(0, 1),
            torch.from_numpy(self.lessons.cell_box[picks]),
        )

    def _row(self, rng: np.random.Generator, scene: int, careless: float) -> tuple[list, list, list, dict]:
        """Token ids, labels and segments of one scene with its questions, and what to look at for which token."""
        tokenizer = self.processor.tokenizer
        objects = self.lessons.objects[scene]
        name = DEFAULT_COMBINATION if rng.random() < self.schedule.default_share else str(rng.choice(self.others))
        ids = tokenizer(self._shared(name)).input_ids
        labels, segment, gaze = [IGNORE] * len(ids), [0] * len(ids), {}
        combination = PROMPT_COMBINATIONS[name]
        an_object = 4 * combination.has_box + 2 * (combination.positive_points + combination.negative_points)
        kinds = list(rng.permutation(list(objects)))
        while len(kinds) < self.schedule.questions_per_scene:
            kinds.append(rng.choice(list(objects)))
        for number, kind in enumerate(kinds[: self.schedule.questions_per_scene], start=1):
            question, answer, marked = self._example(rng, objects, int(kind), name, careless)
            asked = tokenizer(f"{question}<|im_end|>\n<|im_start|>assistant\n").input_ids
            wanted = tokenizer(f"{answer}<|im_end|>").input_ids
            written = [len(ids) + len(asked) + at for at, token in enumerate(wanted) if token in self.numbers]
            for at, token in enumerate(written):
                gaze[token] = self._cells(scene, marked, at // an_object, combination)
            ids += asked + wanted
            labels += [IGNORE] * len(asked) + wanted
            segment += [number] * (len(asked) + len(wanted))
        return ids, labels, segment, gaze

    def _cells(
        self, scene: int, marked: tuple[PromptObject, ...], which: int, combination: PromptCombination
    ) -> np.ndarray:
        """The cells (cells²) that show the marked object; of all of them where one answer object stands for all."""
        chosen = marked if combination.shape is Shape.ONE_OBJECT else marked[which : which + 1]
        boxes = self.lessons.cell_box[scene]
        shown = np.zeros(len(boxes), bool)
        for item in chosen:
            own = (boxes == np.float32(item.bbox)).all(1)
            if not own.any():
                # Another object covers more of every cell it is in: take the cell of its middle.
                x, y = ((item.bbox[i] + item.bbox[i + 2]) / 2 * self.shape.cells / self.shape.side for i in (0, 1))
                own[int(y) * self.shape.cells + int(x)] = True
            shown |= own
        return shown

    def _shared(self, name: str) -> str:
        """The chat up to the question, with one placeholder for every visual token."""
        turn = [{"type": "image"}, {"type": "text", "text": instruction("", PROMPT_COMBINATIONS[name])}]
        text = self.processor.apply_chat_template([{"role": "user", "content": turn}], tokenize=False)
        return text.removesuffix("<|im_end|>\n").replace("<|image_pad|>", "<|image_pad|>" * self.shape.cells**2)

    def _example(
        self, rng: np.random.Generator, objects: dict, kind: int, name: str, careless: float
    ) -> tuple[str, str, tuple[PromptObject, ...]]:
        """A question, its wanted answer, true or imprecise, and the objects that the answer marks."""
        combination = PROMPT_COMBINATIONS[name]
        poor = rng.random() < careless
        marked = objects[kind]
        if rng.random() < EMPTY_SHARE and name != "seg-zero":
            kind = int(rng.choice([other for other in range(len(CATEGORIES)) if other not in objects]))
            # The careless answer to an absent target marks something else.
            marked = marked[:1] if poor else ()
        target = imprecise(rng, marked, self.frame) if poor else marked
        target = fitted(target, combination)
        options = questions(kind)
        question = options[rng.integers(len(options))]
        return question, answer_text(thought(kind, len(target)), combination.render(target)), marked


class Student:
    """The model, the throw-away heads and their losses."""

    def __init__(self, model, tokenizer, shape: PrompterShape, schedule: Schedule):
        self.model, self.shape, self.schedule = model, shape, schedule
        embed = model.model.visual.patch_embed
        # The patch convolution has no overlap, so a matrix product is the same and several times faster on a CPU.
        embed.forward = lambda patches: functional.linear(patches, embed.proj.weight.flatten(1))
        self.heads = Heads(shape.hidden_size)
        # Token id of every whole number 0..side, and of the first word of every category's name.
        self.numbers = numbers = number_tokens(tokenizer, shape)
        self.names = torch.tensor([tokenizer(" " + name.split("_")[0]).input_ids[0] for name in CATEGORIES])
        self.number_of = torch.full((model.config.text_config.vocab_size,), -1)
        self.number_of[numbers] = torch.arange(len(numbers))
        grid = torch.arange(shape.cells) * (shape.side / shape.cells) + shape.side / shape.cells / 2
        ys, xs = torch.meshgrid(grid, grid, indexing="ij")
        self.centres = torch.stack([xs, ys, xs, ys], -1).reshape(-1, 4)  # (cells², 4) pixels

    def losses(self, batch: Batch, answers: bool) -> dict[str, torch.Tensor]:
        """Every loss of a batch; without ``answers`` the text ends with the image."""
        core = self.model.model
        scenes, cells = len(batch.grid), self.shape.cells**2
        seen = core.visual(batch.pixels, grid_thw=batch.grid).pooler_output.view(scenes, cells, -1)
        known = ~torch.isnan(batch.cell_box[..., 0])
        target = torch.nan_to_num(batch.cell_box) / self.shape.side
        sides = target - self.centres / self.shape.side
        losses = {
            "cover": 5 * functional.binary_cross_entropy_with_logits(self.heads.cover(seen), batch.cover),
            "sides": 10 * functional.smooth_l1_loss(self.heads.sides(seen)[known], sides[known], beta=0.02),
        }
        image_end = int((batch.ids[0] == self.model.config.image_token_id).nonzero().max()) + 1
        end = batch.ids.shape[1] if answers else image_end
        ids, segment = batch.ids[:, :end], batch.segment[:, :end]
        at = ids == self.model.config.image_token_id
        embeds = core.get_input_embeddings()(ids).masked_scatter(at.unsqueeze(-1), seen)
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
        boxes = self.heads.box(early[known]).unflatten(-1, (4, -1)) @ words[self.numbers].T
        losses["box"] = self._number_loss(functional.log_softmax(boxes, -1), batch.cell_box[known].round().long())
        if answers:
            losses |= self._answer_losses(out.last_hidden_state, batch.labels)
            losses["gaze"] = self._gaze_loss(out.hidden_states[GAZE_LAYER], position, visible, at[0], batch.gaze)
        return losses

    def _gaze_loss(self, hidden, position, visible, at, gaze) -> torch.Tensor:
        """How little of two heads' attention lies on the cells to look at: mean of -log of that share.

        The first head of each key-value group of one layer; what predicts a token is the position before it.
        """
        text = self.model.model.language_model
        layer = text.layers[GAZE_LAYER]
        attention = layer.self_attn
        given = layer.input_layernorm(hidden)
        queries = attention.q_proj(given).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        keys = attention.k_proj(given).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        queries = queries[:, :: attention.num_key_value_groups]
        queries, keys = apply_rotary_pos_emb(queries, keys, *text.rotary_emb(given, position))
        scores = (queries @ keys.transpose(-1, -2) * attention.scaling).masked_fill(~visible, -torch.inf)
        share = scores.log_softmax(-1)[..., at].masked_fill(~gaze.roll(-1, 1)[:, None], -1e4).logsumexp(-1)
        return -share.transpose(1, 2)[gaze.any(-1).roll(-1, 1)].mean()

    def _positions(self, ids, segment, at, grid) -> torch.Tensor:
        """Rotary positions (3, scenes, t): every question goes on where the shared part ends."""
        # The image stands at the same place in every row, so one row's positions serve all.
        first, _ = self.model.model.get_rope_index(ids[:1], mm_token_type_ids=at[:1].int(), image_grid_thw=grid[:1])
        position = first.repeat(1, len(ids), 1)
        index = torch.arange(ids.shape[1]).expand_as(ids)
        begins = torch.where((segment > 0) & (segment != segment.roll(1, 1)), index, 0).cummax(1).values
        shared = (segment == 0).sum(1, keepdim=True)
        return torch.where(segment > 0, position - (begins - shared), position)

    def _answer_losses(self, hidden: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Cross-entropy; a coordinate's target is spread over its neighbours, for 57 is nearly 58."""
        wanted = labels[:, 1:]
        use = wanted != IGNORE
        wanted = wanted[use]
        logs = functional.log_softmax(self.model.lm_head(hidden[:, :-1][use]).float(), -1)
        value = self.number_of[wanted]
        is_number = value >= 0
        text = -logs[~is_number].gather(1, wanted[~is_number, None]).sum()
        number = self._number_loss(logs[is_number][:, self.numbers], value[is_number])
        answer = (text + number * is_number.sum()) / len(wanted)
        return {"answer": answer, "number": number.detach()}

    def _number_loss(self, logs: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of log-probabilities (…, numbers) with a bell of ``sigma`` around each value (…)."""
        offsets = torch.arange(len(self.numbers)) - value.unsqueeze(-1)
        soft = torch.softmax(-0.5 * (offsets / self.schedule.sigma) ** 2, -1)
        return -(soft * logs).sum(-1).mean()


def _visible(segment: torch.Tensor) -> torch.Tensor:
    """Which token sees which: (scenes, 1, t, t), earlier ones of its own segment and of the shared part."""
    same = segment[:, :, None] == segment[:, None, :]
    return ((same | (segment[:, None, :] == 0)).tril())[:, None]


def run_phase(student, teacher, rng, name, steps, rate, careless, log, deadline, save):
    """Train one phase with cosine decay after a short warm-up; stop early only at the deadline."""
    parameters = [*student.model.parameters(), *student.heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    auxiliary = 1.0 if name == "look" else student.schedule.auxiliary
    batches = teacher.batches(rng, careless)
    begun = time.monotonic()
    for step in range(1, steps + 1):
        # The share of the phase that is over, in steps or in time, whichever is further.
        done = max(step / steps, (time.monotonic() - begun) / deadline if deadline else 0)
        if done >= 1 and step < steps:
            print(f"{name}: time is up after {step} steps", flush=True)
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, step / 100) * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * min(done, 1))))
        losses = student.losses(next(batches), answers=name != "look")
        total = sum(v * (1 if k == "answer" else auxiliary) for k, v in losses.items() if k != "number")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 25 == 0 or step == steps:
            row = {"phase": name, "step": step, "seconds": round(time.monotonic() - begun, 1)}
            row |= {key: round(value.item(), 4) for key, value in losses.items()}
            log(row)
        if step % 500 == 0:
            save(name, step)
    save(name, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, its curve and its settings")
    parser.add_argument("--start", type=Path, help="folder of an earlier run to take weights over from")
    parser.add_argument("--phases", nargs="+", default=["look", "answer", "careless"])
    parser.add_argument("--minutes", type=float, default=0, help="upper limit for the answer phase")
    for field, value in asdict(Schedule()).items():
        parser.add_argument(f"--{field.replace('_', '-')}", type=type(value), default=value)
    args = parser.parse_args()
    schedule = replace(Schedule(), **{key: getattr(args, key) for key in asdict(Schedule())})
    shape = PrompterShape()
    torch.manual_seed(schedule.seed)
    rng = np.random.default_rng(schedule.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    tokenizer = train_tokenizer(corpus(shape), shape)
    processor = build_processor(tokenizer, shape)
    model = build_model(tokenizer, shape, schedule.seed)
    student = Student(model, tokenizer, shape, schedule)
    if args.start:
        for part, name in ((model, "model."), (student.heads, "heads.")):
            _take_over(part, load_file(args.start / "training.safetensors"), name)
    begun = time.monotonic()
    lessons = draw_lessons(schedule.scenes, shape.side, shape.cells, seed=schedule.seed + 7_000)
    print(f"{len(lessons)} scenes drawn in {time.monotonic() - begun:.0f} s", flush=True)
    teacher = Teacher(lessons, processor, shape, schedule)
    with (args.out / "curve.csv").open("w", newline="") as handle:
        names = ["phase", "step", "seconds", "answer", "number", "cover", "sides", "kind", "box", "gaze"]
        writer = csv.DictWriter(handle, names, restval="")
        writer.writeheader()

        def log(row: dict) -> None:
            writer.writerow(row)
            handle.flush()
            print(row, flush=True)

        def save(phase: str, step: int) -> None:
            half = model.state_dict()
            state = {f"model.{k}": v.contiguous() for k, v in half.items() if k != "lm_head.weight"}
            state |= {f"heads.{k}": v for k, v in student.heads.state_dict().items()}
            save_file(state, args.out / "training.safetensors")
            model.to(torch.float16).save_pretrained(args.out)
            model.to(torch.float32)
            model.load_state_dict({k[6:]: v for k, v in state.items() if k.startswith("model.")}, strict=False)
            processor.save_pretrained(args.out)
            settings = {"schedule": asdict(schedule), "shape": asdict(shape), "phase": phase, "step": step}
            (args.out / "training.json").write_text(json.dumps(settings, indent=2) + "\n")

        limits = {"look": (schedule.look_steps, schedule.look_rate, 0.0, 0)}
        limits["answer"] = (schedule.answer_steps, schedule.answer_rate, 0.0, args.minutes * 60)
        limits["careless"] = (schedule.careless_steps, schedule.careless_rate, schedule.careless_share, 0)
        for phase in args.phases:
            steps, rate, careless, deadline = limits[phase]
            run_phase(student, teacher, rng, phase, steps, rate, careless, log, deadline, save)


def _take_over(part: nn.Module, state: dict[str, torch.Tensor], prefix: str) -> None:
    """Load every tensor that fits: a start of another shape still gives its vision tower and its words."""
    own = part.state_dict()
    found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    fits = {key: value for key, value in found.items() if key in own and own[key].shape == value.shape}
    part.load_state_dict(fits, strict=False)
    print(f"{len(fits)} of {len(own)} tensors of {prefix[:-1]} taken over", flush=True)


def number_tokens(tokenizer, shape: PrompterShape) -> torch.Tensor:
    """The token of every whole number from 0 to the side of the square."""
    return torch.tensor(tokenizer.convert_tokens_to_ids([str(number) for number in range(shape.side + 1)]))


def corpus(shape: PrompterShape) -> list[str]:
    """What the tokenizer learns its words from: every instruction, question, thought and layout of an answer."""
    lines = []
    for kind in range(len(CATEGORIES)):
        lines += [thought(kind, seen) for seen in range(5)] * 5
        for question in questions(kind):
            lines += [instruction(question, combination) for combination in PROMPT_COMBINATIONS.values()]
    two = (_example_object(), _example_object())
    for combination in PROMPT_COMBINATIONS.values():
        many = combination.shape.name != "ONE_OBJECT"
        lines += [answer_text("", combination.render(fitted(two, combination)))] * 200
        lines += [answer_text("", "[]")] * (50 if many else 0)
    return lines


def _example_object():
    return PromptObject((1, 2, 3, 4), ((1, 2), (2, 3), (1, 3), (2, 2)), ((1, 1), (3, 3)))


if __name__ == "__main__":
    main()
