"""Train the embedded segmenter on synthetic scenes: ``python -m t2s_pipeline.miniature.train_segmenter --out DIR``.

It takes half an hour on two CPU cores. It writes ``model.safetensors`` (fp16), ``curve.csv``, ``eval.json`` and a
checkpoint. To continue a stopped training, run the same command again.
"""

import argparse
import csv
import hashlib
import json
import math
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor, nn

from t2s_pipeline.miniature.evaluate_segmenter import BEST, prompt_quality
from t2s_pipeline.miniature.segmenter_pool import HELD_OUT, SIDE, TRAIN, PooledScene, paint_pool
from t2s_pipeline.miniature.segmenter_prompts import PromptKind, around, poor_prompt, training_kind, training_prompt
from t2s_pipeline.segmenters.miniature import SIZES, build
from t2s_pipeline.segmenters.points import labelled_points
from t2s_pipeline.segmenters.sam2 import MEAN, STD, Sam2Segmenter

LEARNING_RATE = 1e-3
WARMUP_STEPS = 100
BOX_STEPS, GOOD_STEPS = 400, 800
"""Up to the first step number, every prompt has a box, because points alone have no effect before the network has
learned positions. Up to the second, every prompt is good, because the network first learns what an object is, and then
what a wrong box means. After that, only the prompt encoder and the mask decoder learn, in half the time."""
POOR_SHARE = 0.5
"""The share of poor prompts after that, among boxes and boxes with points."""
WEIGHTS = {"mask": 1.0, "cover": 3.0, "best_of_three": 1.0, "score": 1.0, "foreground": 1.0}
"""The weight of each loss."""
LOSS_SIDE = SIDE // 2
"""Masks are compared at half the scene's resolution: a quarter of the work, and still finer than the logits."""
AVERAGE_DECAY = 0.99
"""Decay of the running average of the weights. The average is evaluated and saved."""


@dataclass(frozen=True)
class Prompted:
    """Prompts of one kind, one per image of a batch of B.

    Attributes:
        xy: (B, points, 2), in pixels of the scene.
        labels: (B, points), sam2's point labels.
        masks: (B, SIDE, SIDE), 1 on the target.
        windows: (B, SIDE, SIDE), 1 near the target.
    """

    xy: Tensor
    labels: Tensor
    masks: Tensor
    windows: Tensor

    def to(self, device: str) -> "Prompted":
        """The prompts on a device."""
        return Prompted(self.xy.to(device), self.labels.to(device), self.masks.to(device), self.windows.to(device))


def make_batch(
    pool: Sequence[PooledScene],
    images: int,
    kinds: int,
    rng: np.random.Generator,
    boxes_only: bool = False,
    poor_share: float = 0.0,
) -> tuple[Tensor, Tensor, list[Prompted]]:
    """Scenes that are turned, flipped and relit at random, each with one prompt of each of ``kinds`` kinds.

    A kind is chosen for the whole batch: prompts of equal length need no padding, which would have an effect in sam2's
    prompt encoder.

    Args:
        pool: the scenes to choose from.
        images: scenes per batch (B).
        kinds: prompts per scene.
        rng: source of all choices.
        boxes_only: as for ``training_kind``.
        poor_share: as for ``training_kind``.

    Returns:
        pixels float (B, 3, SIDE, SIDE) in 0..1, the pixels of any instance (B, 1, SIDE, SIDE), and the prompts.
    """
    pixels, instances, categories = [], [], []
    for index in rng.integers(len(pool), size=images):
        scene = pool[index]
        image, masks = scene.image, scene.masks()
        turn = int(rng.integers(4))
        image, masks = np.rot90(image, turn, (0, 1)), np.rot90(masks, turn, (1, 2))
        if rng.random() < 0.5:
            image, masks = image[:, ::-1], masks[:, :, ::-1]
        gain = rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, size=3)
        relit = image / 255 * gain + rng.uniform(-0.06, 0.06)
        pixels.append(np.clip(relit, 0, 1).astype(np.float32))
        instances.append(masks)
        categories.append(np.array(scene.categories))
    prompted = [_prompted(instances, categories, training_kind(rng, boxes_only, poor_share), rng) for _ in range(kinds)]
    anything = np.stack([masks.any(axis=0) for masks in instances])
    return (
        torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2),
        torch.from_numpy(anything)[:, None].float(),
        prompted,
    )


def _prompted(
    instances: Sequence[np.ndarray], categories: Sequence[np.ndarray], kind: PromptKind, rng: np.random.Generator
) -> Prompted:
    """One prompt of a kind for each scene of a batch."""
    xy, labels, targets, windows = [], [], [], []
    for masks, category in zip(instances, categories, strict=True):
        indices = [int(rng.integers(len(masks)))]
        if kind.several:
            alike = rng.permutation(np.flatnonzero(category == category[indices[0]]))
            indices = list(alike[: int(rng.integers(2, kind.positive + 1))])
        parts = [masks[i] for i in indices]
        if kind.poor:
            item, target = poor_prompt(parts[0], kind, rng)
        else:
            item, target = training_prompt(parts, kind, rng), np.logical_or.reduce(parts)
        points = labelled_points(item)
        xy.append([point for point, _ in points])
        labels.append([label for _, label in points])
        targets.append(target)
        windows.append(around(np.logical_or.reduce(parts), 1.6) | target)
    return Prompted(
        torch.tensor(xy, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int32),
        torch.from_numpy(np.stack(targets)).float(),
        torch.from_numpy(np.stack(windows)).float(),
    )


def mask_loss(logits: Tensor, prompted: Prompted) -> Tensor:
    """Dice + 5 × cross-entropy of mask logits (B, 1, h, w) at LOSS_SIDE, per prompt (B,).

    Pixels near the target have five times the weight of other pixels in the cross-entropy, so that the background does
    not dominate a small target.
    """
    logits = F.interpolate(logits, (LOSS_SIDE, LOSS_SIDE), mode="bilinear", align_corners=False)[:, 0]
    masks, windows = (
        F.interpolate(pixels[:, None], (LOSS_SIDE, LOSS_SIDE), mode="area")[:, 0]
        for pixels in (prompted.masks, prompted.windows)
    )
    weight = 0.2 + 0.8 * windows
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * weight
    probability = logits.sigmoid()
    shared = (probability * masks).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return dice + 5 * entropy.sum((1, 2)) / weight.sum((1, 2))


def soft_iou(logits: Tensor, masks: Tensor) -> Tensor:
    """IoU of thresholded logits (B, M, h, w) with masks (B, 1, h, w): (B, M). The score head learns it."""
    predicted = logits > 0
    truth = masks > 0.5
    shared = (predicted & truth).sum((2, 3))
    return shared / (predicted | truth).sum((2, 3)).clamp(min=1)


class Learner(nn.Module):
    """The network with temporary heads, which give its inner feature maps losses of their own.

    The mask is a product of two parts that are both untrained at first, so only a weak gradient reaches the pyramid
    and the decoder through it. Without further losses, they learn "any object" and ignore the prompt for a long time.
    One head per pyramid level predicts where any object is. One head on the decoder's image tokens predicts how much
    of each 16-pixel cell the prompted object covers.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: SAM2Base) -> None:
        super().__init__()
        self.model = model
        width = model.hidden_dim
        self.foreground = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in (width // 8, width // 4, width))
        self.cover = nn.Linear(width, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(
        self, pixels: Tensor, anything: Tensor, prompted: Sequence[Prompted], frozen_pyramid: bool = False
    ) -> dict[str, Tensor]:
        """The losses, each a scalar, and the training IoU with the key ``iou``; arguments as from ``make_batch``.

        Args:
            pixels: (B, 3, SIDE, SIDE).
            anything: (B, 1, SIDE, SIDE).
            prompted: prompts of each kind.
            frozen_pyramid: True to train only the prompt encoder and the mask decoder.
        """
        model = self.model
        size = (model.image_size, model.image_size)
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_pyramid):
            features = model.forward_image((pixels - self.mean) / self.std)["backbone_fpn"]
        foreground = self._foreground_loss(features, anything)
        fine, middle, coarse = features
        coarse = coarse + model.no_mem_embed.view(1, -1, 1, 1)
        single, cover, best_of_three, score, ious = [], [], [], [], []
        decoder = model.sam_mask_decoder
        tokens: list[Tensor] = []
        hook = decoder.transformer.register_forward_hook(lambda *call: tokens.append(call[2][1]))
        for prompts in prompted:
            xy = prompts.xy / SIDE * model.image_size
            sparse, dense = model.sam_prompt_encoder(points=(xy, prompts.labels), boxes=None, masks=None)
            logits, scores, _, _ = decoder.predict_masks(
                image_embeddings=coarse,
                image_pe=model.sam_prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                repeat_image=False,
                high_res_features=[fine, middle],
            )
            single.append(mask_loss(logits[:, :1], prompts))
            cells = F.interpolate(prompts.masks[:, None], coarse.shape[-2:], mode="area").flatten(1)
            cover.append(F.binary_cross_entropy_with_logits(self.cover(tokens.pop())[..., 0], cells))
            # The three other masks share one loss: only the best of them learns, as in SAM.
            small = F.interpolate(prompts.masks[:, None], logits.shape[-2:], mode="area")
            losses = F.binary_cross_entropy_with_logits(
                logits[:, 1:], small.expand(-1, 3, -1, -1), reduction="none"
            ).mean((2, 3))
            best_of_three.append(losses.min(dim=1).values)
            with torch.no_grad():
                iou = soft_iou(logits, small)
            score.append((scores - iou).abs().mean(dim=1))
            ious.append(iou[:, 0])
        hook.remove()
        return {
            "mask": torch.cat(single).mean(),
            "cover": torch.stack(cover).mean(),
            "best_of_three": torch.cat(best_of_three).mean(),
            "score": torch.cat(score).mean(),
            "foreground": foreground,
            "iou": torch.cat(ious).mean(),
        }

    def _foreground_loss(self, features: Sequence[Tensor], anything: Tensor) -> Tensor:
        """The summed losses of the heads that predict where any object is, one per pyramid level."""
        losses = [
            F.binary_cross_entropy_with_logits(head(feature), F.interpolate(anything, feature.shape[-2:], mode="area"))
            for head, feature in zip(self.foreground, features, strict=True)
        ]
        return sum(losses[1:], start=losses[0])


def learning_rate(step: int, steps: int) -> float:
    """The rate of a step: linear warm-up, then a cosine decay to a fiftieth."""
    if step < WARMUP_STEPS:
        return LEARNING_RATE * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return LEARNING_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def save(model: SAM2Base, path: Path) -> str:
    """Write the weights in fp16 and return the file's SHA-256."""
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def evaluate(model: SAM2Base, scenes: Sequence[PooledScene], only: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """For each kind of prompt: number of instances, mean IoU, and the share of IoUs above 0.5."""
    segmenter = Sam2Segmenter(model, "sam2-mini", "in training", next(model.parameters()).device)
    table = prompt_quality(segmenter, scenes, only=only)
    return {
        kind: {"n": len(ious), "iou": float(np.mean(ious)), "above_half": float(np.mean(np.array(ious) > 0.5))}
        for kind, ious in table.items()
    }


def averaged_into(average: SAM2Base, model: SAM2Base, step: int) -> None:
    """Move the running average towards the network; faster in the beginning, when the average is young."""
    decay = min(AVERAGE_DECAY, (step + 1) / (step + 10))
    with torch.no_grad():
        for mean, current in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            mean.lerp_(current, 1 - decay)


class SegmenterTraining:
    """A training with its output folder; it continues from the checkpoint in the folder, if there is one."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out: Path = args.out
        self.out.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.config = SIZES[args.size]
        self.learner = Learner(build(self.config)).to(args.device)
        self.average = build(self.config).requires_grad_(False).to(args.device)
        self.average.load_state_dict(self.learner.model.state_dict())
        decayed = [p for p in self.learner.parameters() if p.ndim > 1]
        rest = [p for p in self.learner.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=LEARNING_RATE
        )
        self.first, seconds = 0, 0.0
        self.rows: list[dict[str, float]] = []
        self.checkpoint = self.out / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=args.device, weights_only=True)
            self.learner.load_state_dict(state["learner"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.first, seconds, self.rows = state["step"], state["seconds"], state["rows"]
            print(f"continuing from step {self.first}", flush=True)
        self.started = time.monotonic() - seconds
        self.pool = paint_pool(TRAIN, args.scenes, args.threads)
        self.held_out = paint_pool(HELD_OUT, args.held_out, args.threads, foreign_share=0.0)
        print(f"{len(self.pool)} scenes painted in {time.monotonic() - self.started - seconds:.0f} s", flush=True)

    def run(self) -> None:
        """Train up to the last step, with reports and checkpoints on the way; then evaluate."""
        sums: dict[str, float] = {}
        since = 0
        for step in range(self.first, self.args.steps):
            for name, value in self._step(step).items():
                sums[name] = sums.get(name, 0.0) + value.item()
            since += 1
            done = step + 1
            if done % self.args.report == 0 or done == self.args.steps:
                self._report(done, {name: round(value / since, 4) for name, value in sums.items()})
                sums, since = {}, 0
        self._evaluate()

    def _step(self, step: int) -> dict[str, Tensor]:
        """One optimizer step; its losses and IoU."""
        # Seeded by the step, so that a continued training has the same batches as one without a stop.
        rng = np.random.default_rng([self.args.seed, step])
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.args.steps)
        self.learner.train()
        poor_share = POOR_SHARE if step >= GOOD_STEPS else 0.0
        pixels, anything, prompted = make_batch(
            self.pool, self.args.images, self.args.kinds, rng, step < BOX_STEPS, poor_share
        )
        device = self.args.device
        batch = pixels.to(device), anything.to(device), [item.to(device) for item in prompted]
        losses: dict[str, Tensor] = self.learner(*batch, frozen_pyramid=step >= GOOD_STEPS)
        self.optimizer.zero_grad()
        weighted = [weight * losses[name] for name, weight in WEIGHTS.items()]
        torch.autograd.backward(sum(weighted[1:], start=weighted[0]))
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        averaged_into(self.average, self.learner.model, step)
        return losses

    def _report(self, done: int, means: dict[str, float]) -> None:
        """Print the means since the last report; write the weights, the curve and a checkpoint."""
        row = {"step": done, "seconds": round(time.monotonic() - self.started, 1), **means}
        row["held_out_iou"] = round(evaluate(self.average, self.held_out[:50], only=(BEST,))[BEST]["iou"], 4)
        self.rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        save(self.average, self.out / "model.safetensors")
        write_curve(self.rows, self.out / "curve.csv")
        state = {
            "learner": self.learner.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": done,
            "seconds": time.monotonic() - self.started,
            "rows": self.rows,
        }
        torch.save(state, self.checkpoint.with_suffix(".partial"))
        self.checkpoint.with_suffix(".partial").replace(self.checkpoint)

    def _evaluate(self) -> None:
        """Write the final weights and ``eval.json``, and print the IoU by kind of prompt."""
        sha256 = save(self.average, self.out / "model.safetensors")
        prompts = evaluate(self.average, self.held_out)
        report = {
            "sha256": sha256,
            "config": asdict(self.config),
            "training": {
                "device": self.args.device,
                "steps": self.args.steps,
                "images_a_step": self.args.images,
                "prompts_an_image": self.args.kinds,
                "scenes": len(self.pool),
                "seed": self.args.seed,
                "seconds": round(time.monotonic() - self.started),
            },
            "held_out_scenes": len(self.held_out),
            "prompts": prompts,
        }
        (self.out / "eval.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        for kind, numbers in prompts.items():
            print(f"{kind:45s} n {numbers['n']:5d}  IoU {numbers['iou']:.3f}  above half {numbers['above_half']:.3f}")


def write_curve(rows: list[dict[str, float]], path: Path) -> None:
    """Write the training curve, one row per report."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Train the segmenter with the settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, curve and evaluation")
    parser.add_argument("--steps", type=int, default=1900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=16, help="scenes per step")
    parser.add_argument("--kinds", type=int, default=3, help="prompts per scene")
    parser.add_argument("--scenes", type=int, default=2500, help="scenes in the training pool")
    parser.add_argument("--held-out", type=int, default=250, help="scenes in the held-out pool")
    parser.add_argument("--report", type=int, default=100, help="steps between reports and checkpoints")
    parser.add_argument("--threads", type=int, default=2, help="of the network on a CPU, and processes that paint")
    parser.add_argument("--device", default="cpu", help="of the network, as torch names it")
    parser.add_argument("--size", default="mini", choices=SIZES, help="of the network")
    SegmenterTraining(parser.parse_args()).run()


if __name__ == "__main__":
    main()
