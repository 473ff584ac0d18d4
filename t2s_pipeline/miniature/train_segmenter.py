"""Train the embedded segmenter on drawn scenes: ``python -m t2s_pipeline.miniature.train_segmenter --out DIR``.

Half an hour on two CPU cores. The folder gets ``model.safetensors`` (fp16), ``curve.csv``, ``eval.json`` and a
checkpoint to go on from; a run that was stopped continues when the same command is given again.
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
from t2s_pipeline.miniature.segmenter_pool import HELD_OUT, SIDE, TRAIN, PooledScene, draw_pool
from t2s_pipeline.miniature.segmenter_prompts import around, poor_prompt, training_kind, training_prompt
from t2s_pipeline.segmenters.miniature import MiniatureSam2Config, build
from t2s_pipeline.segmenters.points import labelled_points
from t2s_pipeline.segmenters.sam2 import MEAN, STD, Sam2Segmenter

LEARNING_RATE = 1e-3
WARMUP_STEPS = 100
BOX_STEPS, GOOD_STEPS = 400, 800
"""Until the first, every prompt has a box: points alone teach nothing before the network knows where is where.
Until the second, every prompt is good: what an object is comes before what a wrong box makes of it. From then
on only the prompt encoder and the mask decoder learn, in half the time."""
POOR_SHARE = 0.5
"""From then on, share of poor prompts among a box's and a box's with points."""
WEIGHTS = {"mask": 1.0, "cover": 3.0, "best_of_three": 1.0, "score": 1.0, "foreground": 1.0}
"""What each loss counts for."""
LOSS_SIDE = SIDE // 2
"""Masks are compared at half the scene's resolution: a quarter of the work, and finer than the logits still."""
AVERAGE_DECAY = 0.99
"""Decay of the running average of the weights; the average is what is evaluated and saved."""


@dataclass(frozen=True)
class Prompted:
    """Prompts of one kind, one per image of a batch of B.

    Attributes:
        xy: (B, points, 2) in pixels of the scene.
        labels: (B, points), sam2's point labels.
        masks: (B, SIDE, SIDE), 1 on the target.
        windows: (B, SIDE, SIDE), 1 near the target.
    """

    xy: Tensor
    labels: Tensor
    masks: Tensor
    windows: Tensor


def draw_batch(
    pool: Sequence[PooledScene],
    images: int,
    kinds: int,
    rng: np.random.Generator,
    boxes_only: bool = False,
    poor_share: float = 0.0,
) -> tuple[Tensor, Tensor, list[Prompted]]:
    """Scenes turned, flipped and relit at random, with one prompt of each of ``kinds`` kinds on every one.

    A kind is drawn for the whole batch: prompts of equal length need no padding, which sam2's prompt encoder
    would not leave without effect.

    Returns:
        pixels float (B, 3, SIDE, SIDE) in 0..1, any instance's pixels (B, 1, SIDE, SIDE), and the prompts.
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
    prompted = []
    for _ in range(kinds):
        kind = training_kind(rng, boxes_only, poor_share)
        xy, labels, targets, windows = [], [], [], []
        for masks, category in zip(instances, categories, strict=True):
            chosen = [int(rng.integers(len(masks)))]
            if kind.several:
                alike = rng.permutation(np.flatnonzero(category == category[chosen[0]]))
                chosen = list(alike[: int(rng.integers(2, kind.positive + 1))])
            parts = [masks[i] for i in chosen]
            if kind.poor:
                item, target = poor_prompt(parts[0], kind, rng)
            else:
                item, target = training_prompt(parts, kind, rng), np.logical_or.reduce(parts)
            points = labelled_points(item)
            xy.append([point for point, _ in points])
            labels.append([label for _, label in points])
            targets.append(target)
            windows.append(around(np.logical_or.reduce(parts), 1.6) | target)
        prompted.append(
            Prompted(
                torch.tensor(xy, dtype=torch.float32),
                torch.tensor(labels, dtype=torch.int32),
                torch.from_numpy(np.stack(targets)).float(),
                torch.from_numpy(np.stack(windows)).float(),
            )
        )
    anything = np.stack([masks.any(axis=0) for masks in instances])
    return (
        torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2),
        torch.from_numpy(anything)[:, None].float(),
        prompted,
    )


def mask_loss(logits: Tensor, prompted: Prompted) -> Tensor:
    """Dice + 5 × cross-entropy of mask logits (B, 1, h, w) at LOSS_SIDE, per prompt (B,).

    Cross-entropy counts pixels near the target five times as much as far ones, so that a small target is not
    drowned by background.
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
    """IoU of thresholded logits (B, M, h, w) with masks (B, 1, h, w): (B, M), what the score head learns."""
    found = logits > 0
    truth = masks > 0.5
    shared = (found & truth).sum((2, 3))
    return shared / (found | truth).sum((2, 3)).clamp(min=1)


class Learner(nn.Module):
    """The network and the throw-away heads that give its inner maps a loss of their own.

    The mask is a product of two things that are both untrained at first, so what reaches the pyramid and the
    decoder through it is faint: left alone they settle on "any object" and ignore the prompt for long. One
    head a pyramid level predicts where any object is; one on the decoder's image tokens predicts how much of
    each 16-pixel cell the prompted object covers.
    """

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
        """Losses, each a scalar, and the training IoU under ``iou``; arguments as from ``draw_batch``."""
        model = self.model
        size = (model.image_size, model.image_size)
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen_pyramid):
            features = model.forward_image((pixels - self.mean) / self.std)["backbone_fpn"]
        foreground = sum(
            F.binary_cross_entropy_with_logits(head(feature), F.interpolate(anything, feature.shape[-2:], mode="area"))
            for head, feature in zip(self.foreground, features, strict=True)
        )
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
            # The three further masks share one loss: only the best of them learns, as in SAM.
            small = F.interpolate(prompts.masks[:, None], logits.shape[-2:], mode="area")
            each = F.binary_cross_entropy_with_logits(
                logits[:, 1:], small.expand(-1, 3, -1, -1), reduction="none"
            ).mean((2, 3))
            best_of_three.append(each.min(dim=1).values)
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


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    if step < WARMUP_STEPS:
        return LEARNING_RATE * (step + 1) / WARMUP_STEPS
    progress = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    return LEARNING_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def save(model: SAM2Base, path: Path) -> str:
    """Write the weights in fp16 and return the file's SHA-256."""
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def evaluate(model: SAM2Base, scenes: Sequence[PooledScene], only: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """Per kind of prompt: instances, mean IoU, and the share of them above 0.5."""
    table = prompt_quality(Sam2Segmenter(model, "sam2-mini", "in training"), scenes, only=only)
    return {
        kind: {"n": len(ious), "iou": float(np.mean(ious)), "above_half": float(np.mean(np.array(ious) > 0.5))}
        for kind, ious in table.items()
    }


def averaged_into(average: SAM2Base, model: SAM2Base, step: int) -> None:
    """Move the running average towards the network; faster in the beginning, when it has little to keep."""
    decay = min(AVERAGE_DECAY, (step + 1) / (step + 10))
    with torch.no_grad():
        for mine, its in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            mine.lerp_(its, 1 - decay)


def train(args: argparse.Namespace) -> None:
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    config = MiniatureSam2Config()
    learner = Learner(build(config))
    average = build(config).requires_grad_(False)
    average.load_state_dict(learner.model.state_dict())
    decayed = [p for p in learner.parameters() if p.ndim > 1]
    rest = [p for p in learner.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=LEARNING_RATE
    )
    first, seconds, rows = 0, 0.0, []
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        learner.load_state_dict(state["learner"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, seconds, rows = state["step"], state["seconds"], state["rows"]
        print(f"going on from step {first}", flush=True)

    started = time.monotonic() - seconds
    pool = draw_pool(TRAIN, args.scenes, args.threads)
    held_out = draw_pool(HELD_OUT, args.held_out, args.threads, foreign_share=0.0)
    print(f"{len(pool)} scenes drawn in {time.monotonic() - started - seconds:.0f} s", flush=True)

    sums: dict[str, float] = {}
    since = 0
    for step in range(first, args.steps):
        # Seeded by the step, so that a resumed run sees the batches an unbroken one would have.
        rng = np.random.default_rng([args.seed, step])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps)
        learner.train()
        poor_share = POOR_SHARE if step >= GOOD_STEPS else 0.0
        batch = draw_batch(pool, args.images, args.kinds, rng, step < BOX_STEPS, poor_share)
        losses = learner(*batch, frozen_pyramid=step >= GOOD_STEPS)
        total = sum(weight * losses[name] for name, weight in WEIGHTS.items())
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        averaged_into(average, learner.model, step)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        since += 1
        done = step + 1
        if done % args.report == 0 or done == args.steps:
            row = {"step": done, "seconds": round(time.monotonic() - started, 1)}
            row |= {name: round(value / since, 4) for name, value in sums.items()}
            row["held_out_iou"] = round(evaluate(average, held_out[:50], only=(BEST,))[BEST]["iou"], 4)
            rows.append(row)
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
            sums, since = {}, 0
            save(average, out / "model.safetensors")
            write_curve(rows, out / "curve.csv")
            state = {
                "learner": learner.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": done,
                "seconds": time.monotonic() - started,
                "rows": rows,
            }
            torch.save(state, checkpoint.with_suffix(".partial"))
            checkpoint.with_suffix(".partial").replace(checkpoint)

    sha256 = save(average, out / "model.safetensors")
    report = {
        "sha256": sha256,
        "config": asdict(config),
        "training": {
            "steps": args.steps,
            "images_a_step": args.images,
            "prompts_an_image": args.kinds,
            "scenes": len(pool),
            "seed": args.seed,
            "seconds": round(time.monotonic() - started),
        },
        "held_out_scenes": len(held_out),
        "prompts": evaluate(average, held_out),
    }
    (out / "eval.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    for kind, numbers in report["prompts"].items():
        print(f"{kind:45s} n {numbers['n']:5d}  IoU {numbers['iou']:.3f}  above half {numbers['above_half']:.3f}")


def write_curve(rows: list[dict[str, float]], path: Path) -> None:
    """The training curve: a row per report."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, curve and evaluation")
    parser.add_argument("--steps", type=int, default=1900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=16, help="scenes a step")
    parser.add_argument("--kinds", type=int, default=3, help="prompts on every scene")
    parser.add_argument("--scenes", type=int, default=2500, help="scenes in the training pool")
    parser.add_argument("--held-out", type=int, default=250, help="scenes in the held-out pool")
    parser.add_argument("--report", type=int, default=100, help="steps between reports and checkpoints")
    parser.add_argument("--threads", type=int, default=2)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
