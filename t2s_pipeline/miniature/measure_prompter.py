"""Score a miniature prompter: ``python -m t2s_pipeline.miniature.measure_prompter FOLDER [--segmenter NAME]``.

Fresh scenes of the embedded look, at native size, never seen in training: the share of valid answers for every
combination, and for the default combination the overlap of the masks that the segmenter draws from the answers.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS
from t2s_pipeline.prompting.parsing import Answer, FormatError, parse
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Frame
from t2s_pipeline.vision.masks import intersection_union

SEED = 99_000


@dataclass(frozen=True)
class PrompterScores:
    """``giou`` in percent over all scenes; ``valid`` is the share of answers that parse, by combination."""

    n: int
    giou: float
    objects_found: float
    objects_wanted: float
    rejected_of_empty: float
    valid: dict[str, float]


def scenes(count: int) -> list[Scene]:
    """The same scenes for every caller."""
    return [paint_scene(np.random.default_rng([SEED, index])) for index in range(count)]


def measure(prompter: Prompter, segmenter: Sam2Segmenter, count: int, temperature: float = 0.0) -> PrompterScores:
    """Answer ``count`` scenes with their first question."""
    drawn = scenes(count)
    settings = GenerationSettings(max_new_tokens=224, temperature=temperature)
    valid, ious, found, rejected = {}, [], [], []
    for name, combination in PROMPT_COMBINATIONS.items():
        chosen = drawn if name == DEFAULT_COMBINATION else drawn[: max(count // 4, 1)]
        answers = []
        for start in range(0, len(chosen), settings.batch_size):
            part = chosen[start : start + settings.batch_size]
            made = prompter.answer([s.image for s in part], [s.questions[0] for s in part], combination, settings)
            answers += [parse(completion.text, combination, prompter.frame) for completion in made]
        valid[name] = float(np.mean([isinstance(answer, Answer) for answer in answers]))
        if name == DEFAULT_COMBINATION:
            for scene, answer in zip(drawn, answers, strict=True):
                ious.append(_iou(scene, answer, prompter, segmenter))
                if isinstance(answer, Answer):
                    found.append(len(answer.objects))
                if not scene.targets:
                    rejected.append(isinstance(answer, Answer) and not answer.objects)
    return PrompterScores(
        n=count,
        giou=100 * float(np.mean(ious)),
        objects_found=float(np.mean(found)) if found else 0.0,
        objects_wanted=float(np.mean([len(scene.targets) for scene in drawn])),
        rejected_of_empty=float(np.mean(rejected)) if rejected else float("nan"),
        valid=valid,
    )


def _iou(scene: Scene, answer: Answer | FormatError, prompter: Prompter, segmenter: Sam2Segmenter) -> float:
    """Equation 4 of the paper for one scene: 1 for a correct rejection, 0 for an answer that does not parse."""
    if isinstance(answer, FormatError):
        return 0.0
    if not scene.targets or not answer.objects:
        return float(not scene.targets and not answer.objects)
    height, width = scene.mask.shape
    [drawn] = segmenter.decode(
        segmenter.encode(scene.image), [answer.objects], source=prompter.frame, out=Frame(width, height)
    )
    intersection, union = intersection_union(drawn.mask, scene.mask)
    return intersection / union


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a folder with a prompter, or its name")
    parser.add_argument("--segmenter", default="sam2-mini")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--out", type=Path, help="also write the figures there, as JSON")
    args = parser.parse_args()
    measured = measure(load_prompter(args.folder), load_segmenter(args.segmenter), args.scenes, args.temperature)
    text = json.dumps(measured.__dict__, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
