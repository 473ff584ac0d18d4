"""The mask reward of one GRPO group: ours against an encode for every completion and a decode for every object.

    python -m tests.benchmarks.reward                       # sam2.1 small, 840², 16 completions of 1–5 objects
    python -m tests.benchmarks.reward --repeat 0.5          # half of the objects are copies, as late in training
    python -m tests.benchmarks.reward --at-once 1 2 4 8     # ours only, for several sizes of a decoder call
    python -m tests.benchmarks.reward --cache               # ours only: encoding against reading an embedding back
    python -m tests.benchmarks.reward --bfloat16            # a CPU: bfloat16 for ours, float32 for the plain way
    python -m tests.benchmarks.reward --device cuda         # a GPU: bfloat16 for ours, float32 for the plain way
    python -m tests.benchmarks.reward --device cuda --sizes # a GPU: for each of the four sizes, masks a second and the
                                                            # mean IoU of bfloat16's masks with float32's
    python -m tests.benchmarks.reward --geometry            # ours only: the parts of the geometry-aware reward

Weights are random: time does not depend on them, and the rewards of both ways must agree whatever they are. Both ways
parse the same completions. ``limit`` is the time of one encoding, which no decoder can beat; ``share_of_limit`` says
how near ours comes to it. A completion's objects are decoded in the plain way as sam2's own predictor does it.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTER
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.prompting.templates import answer_text
from t2s_pipeline.rewards.geometry import (
    Measured,
    boundary,
    geometry_score,
    geometry_scores,
    length_ratio,
    orientation,
    thin,
)
from t2s_pipeline.rewards.mask_iou import mask_iou_reward
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.registry import SEGMENTERS
from t2s_pipeline.segmenters.sam2 import Counts, Sam2Segmenter
from t2s_pipeline.vision.geometry import Frame, PromptObject

COMBINATION = PROMPT_COMBINATIONS["bbox+pos2"]


def main(arguments: list[str] | None = None) -> dict:
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    torch.manual_seed(0)
    if options.sizes:
        result = {name: _size(name, options) for name in SEGMENTERS if name != EMBEDDED_SEGMENTER}
    else:
        result = _measure(options)
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    result |= {"device": f"{where}, {platform.machine()}", "torch": torch.__version__}
    print(json.dumps(result))
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segmenter", default="sam2.1-small", choices=list(SEGMENTERS))
    parser.add_argument("--side", type=int, default=840, help="of the square, in pixels")
    parser.add_argument("--completions", type=int, default=16)
    parser.add_argument("--repeat", type=float, default=0.0, help="share of objects copied from earlier completions")
    parser.add_argument("--times", type=int, default=3, help="ours is measured so often; the median counts")
    parser.add_argument("--at-once", type=int, nargs="*", help="objects in a decoder call; ours only")
    parser.add_argument("--cache", action="store_true", help="ours only, with and without embeddings on disk")
    parser.add_argument("--geometry", action="store_true", help="ours only, a slender truth, with all geometry parts")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sizes", action="store_true", help="the four released sizes: masks a second, bfloat16")
    parser.add_argument("--bfloat16", action="store_true", help="ours in bfloat16 on a CPU too")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    return parser


def _measure(options: argparse.Namespace) -> dict:
    group = Group(options.side, options.completions, options.repeat)
    print(f"{len(group.completions)} completions, {group.objects} objects, {group.distinct} of them different")
    segmenter = _segmenter(options.segmenter, options.device)
    segmenter.bfloat16 = segmenter.bfloat16 or options.bfloat16
    _ours(segmenter, group)  # warm up
    encode = statistics.median(_timed(lambda: segmenter.encode(group.square), options) for _ in range(options.times))
    if options.at_once:
        seconds = {}
        for count in options.at_once:
            segmenter.at_once = count
            seconds[count] = statistics.median(
                _timed(lambda: _ours(segmenter, group), options) for _ in range(options.times)
            )
            print(f"{count:4} objects in a call: {seconds[count]:.2f} s, of which {encode:.2f} s encode")
        per_object = {count: (took - encode) / group.distinct for count, took in seconds.items()}
        return {"seconds": seconds, "encode_seconds": encode, "decode_seconds_an_object": per_object}
    if options.geometry:
        return _geometry(segmenter, group, options)
    if options.cache:
        return _cached(segmenter, group, encode, options)
    segmenter.counts = Counts()
    times = [_timed(lambda: _ours(segmenter, group), options) for _ in range(options.times)]
    ours, counts, peak = statistics.median(times), replace(segmenter.counts), _peak_mb(options)
    rewards = _ours(segmenter, group)
    print(f"ours: {ours:.2f} s ({', '.join(f'{t:.2f}' for t in times)}), one encoding {encode:.2f} s")
    plain_rewards: list[float] = []
    plain = _timed(lambda: plain_rewards.extend(_plain(segmenter, group)), options)
    print(f"plain: {plain:.2f} s, {len(group.completions)} encodings and {group.objects} decodings")
    difference = max(abs(a - b) for a, b in zip(rewards, plain_rewards, strict=True))
    return {
        "ratio": plain / ours,
        "per_second": len(group.completions) / ours,
        "peak_mb": peak,
        "ours_seconds": ours,
        "plain_seconds": plain,
        "limit_seconds": encode,
        "limit_ratio": plain / encode,
        "share_of_limit": encode / ours,
        "encoder_calls": counts.encoder // options.times,
        "decoder_calls": counts.decoder // options.times,
        "objects": group.objects,
        "objects_decoded": counts.objects // options.times,
        "largest_reward_difference": difference,
        "rewards_differ": len({round(reward, 6) for reward in rewards}),
    }


class Group:
    """One group: a picture, a truth, and completions that ask for random objects."""

    def __init__(self, side: int, completions: int, repeat: float) -> None:
        rng = np.random.default_rng(0)
        self.frame = Frame.square(side)
        coarse = rng.integers(0, 256, (side // 20 + 1, side // 20 + 1, 3))
        self.square = np.kron(coarse, np.ones((20, 20, 1)))[:side, :side].astype(np.uint8)
        self.truth = np.zeros((side, side), bool)
        self.truth[side // 4 : side // 2, side // 3 : 4 * side // 5] = True
        seen: list[PromptObject] = []
        self.completions = []
        for index in range(completions):
            items = []
            for _ in range(1 + index % 5):
                copied = seen and rng.random() < repeat
                items.append(seen[rng.integers(len(seen))] if copied else _object(rng, side))
            seen += items
            self.completions.append(answer_text("They lie by the road.", COMBINATION.render(items)))
        answers = [parse(text, COMBINATION, self.frame) for text in self.completions]
        assert all(isinstance(answer, Answer) for answer in answers)
        asked = [item for answer in answers for item in answer.objects]
        self.objects, self.distinct = len(asked), len(set(asked))

    def columns(self) -> dict:
        count = len(self.completions)
        return {
            "image_key": ["image"] * count,
            "truth_key": ["truth"] * count,
            "square": [self.square] * count,
            "truth": [self.truth] * count,
        }


def _object(rng: np.random.Generator, side: int) -> PromptObject:
    """A box of a twentieth to a third of the side, and two points in it; whole pixels."""
    width, height = rng.integers(side // 20, side // 3, 2)
    x, y = int(rng.integers(0, side - width)), int(rng.integers(0, side - height))
    points = tuple((x + int(rng.integers(1, width)), y + int(rng.integers(1, height))) for _ in range(2))
    return PromptObject((x, y, x + int(width), y + int(height)), points)


def _ours(segmenter: Sam2Segmenter, group: Group) -> list[float]:
    return mask_iou_reward(segmenter, COMBINATION, group.frame)(group.completions, **group.columns())


def _plain(segmenter: Sam2Segmenter, group: Group) -> list[float]:
    """As the authors' code does it: the image encoded for each completion, each object decoded alone."""
    rewards = []
    for completion in group.completions:
        answer = parse(completion, COMBINATION, group.frame)
        predictor = SAM2ImagePredictor(segmenter.model)
        side = segmenter.frame.width
        predictor._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]
        predictor.set_image(group.square)
        union = np.zeros_like(group.truth)
        for item in answer.objects:
            masks, _, _ = predictor.predict(
                point_coords=np.array(item.positive_points),
                point_labels=np.ones(len(item.positive_points)),
                box=np.array(item.bbox),
                multimask_output=False,
            )
            union |= masks[0].astype(bool)
        rewards.append(float((union & group.truth).sum() / (union | group.truth).sum()))
    return rewards


def _cached(segmenter: Sam2Segmenter, group: Group, encode: float, options: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        segmenter.cache = EmbeddingCache(Path(folder), 10**9)
        first = _timed(lambda: segmenter.encode(group.square), options)
        again = statistics.median(_timed(lambda: segmenter.encode(group.square), options) for _ in range(options.times))
        [kept] = Path(folder).glob("*.safetensors")
        result = {"ratio": encode / again, "encode_seconds": encode, "encode_and_keep_seconds": first}
        return result | {"read_back_seconds": again, "file_mb": kept.stat().st_size / 1e6}


def _geometry(segmenter: Sam2Segmenter, group: Group, options: argparse.Namespace) -> dict:
    """What all parts of the geometry-aware reward cost beside the plain one, for a slender truth."""
    group.truth[:] = False
    group.truth[group.truth.shape[0] // 2 :][:20, : 3 * group.truth.shape[1] // 4] = True
    truth = Measured(group.truth)
    assert truth.weight == 1
    plain = statistics.median(_timed(lambda: _ours(segmenter, group), options) for _ in range(options.times))
    reward = mask_iou_reward(segmenter, COMBINATION, group.frame, scores=geometry_scores(geometry_score))
    full = statistics.median(
        _timed(lambda: reward(group.completions, **group.columns()), options) for _ in range(options.times)
    )
    sets = [parse(text, COMBINATION, group.frame).objects for text in group.completions]
    decoded = segmenter.decode(segmenter.encode(group.square), sets, group.frame, group.frame)
    seconds = {}
    for part in (thin, orientation, length_ratio, boundary, geometry_score):
        work = lambda part=part: [part(Measured(item.mask), truth) for item in decoded]  # noqa: E731
        seconds[part.__name__] = statistics.median(_timed(work, options) for _ in range(options.times)) / len(decoded)
        print(f"{part.__name__}: {1000 * seconds[part.__name__]:.2f} ms per completion")
    share = seconds["geometry_score"] * len(decoded) / plain
    print(
        f"plain reward {plain:.2f} s, with geometry {full:.2f} s; all parts take {100 * share:.1f} % of the plain one"
    )
    once = _timed(lambda: geometry_score(fresh := Measured(group.truth), fresh), options)
    return {"plain_seconds": plain, "geometry_seconds": full, "share": share, "part_seconds": seconds, "truth": once}


def _size(name: str, options: argparse.Namespace) -> dict:
    """Masks a second after the image is encoded, and how far bfloat16 is from float32."""
    group = Group(options.side, options.completions, options.repeat)
    model = SEGMENTERS[name].build()
    sets = [parse(text, COMBINATION, group.frame).objects for text in group.completions]
    found = {}
    for bfloat16 in (False, True):
        segmenter = Sam2Segmenter(model, name, "random", options.device, bfloat16=bfloat16)
        embedding = segmenter.encode(group.square)
        decode = lambda s=segmenter, e=embedding: s.decode(e, sets, group.frame, group.frame)  # noqa: E731
        found[bfloat16] = decode()
        seconds = statistics.median(_timed(decode, options) for _ in range(options.times))
        encoding = statistics.median(
            _timed(lambda s=segmenter: s.encode(group.square), options) for _ in range(options.times)
        )
    ious = [
        np.logical_and(a.mask, b.mask).sum() / max(1, np.logical_or(a.mask, b.mask).sum())
        for a, b in zip(found[False], found[True], strict=True)
    ]
    measured = {"masks_per_second": group.distinct / seconds, "images_per_second": 1 / encoding}
    measured |= {"bfloat16_mean_iou": float(np.mean(ious)), "peak_mb": _peak_mb(options)}
    print(name, measured)
    return measured


def _segmenter(name: str, device: str) -> Sam2Segmenter:
    return Sam2Segmenter(SEGMENTERS[name].build(), name, "random", device)


def _timed(work, options: argparse.Namespace) -> float:
    if options.device == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    if options.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def _peak_mb(options: argparse.Namespace) -> float:
    if options.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
