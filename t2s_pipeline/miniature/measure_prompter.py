"""Score a miniature prompter: ``python -m t2s_pipeline.miniature.measure_prompter FOLDER [--segmenter NAME]``.

The scenes have the embedded look and their native size, and are not used in training. The scores are the share of
valid answers for each prompt combination and, for the default combination, the IoU of the masks that the segmenter
makes from the answers.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene
from t2s_pipeline.miniature.lessons import TAUGHT, VOCABULARIES
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
    """The scores of a prompter on the scenes.

    Attributes:
        n: number of scenes.
        giou: in percent, over all scenes.
        objects_found: mean number of objects per valid answer.
        objects_wanted: mean number of targets per scene.
        rejected_of_empty: share of scenes without a target whose answer says so; NaN if there is no such scene.
        valid: share of answers that parse, by prompt combination.
    """

    n: int
    giou: float
    objects_found: float
    objects_wanted: float
    rejected_of_empty: float
    valid: dict[str, float]


def scenes(count: int) -> list[Scene]:
    """The first ``count`` scenes of a fixed stream, which are the same for each caller."""
    return [paint_scene(np.random.default_rng([SEED, index])) for index in range(count)]


def measure(
    prompter: Prompter,
    segmenter: Sam2Segmenter,
    count: int,
    temperature: float = 0.0,
    vocabulary: Sequence[str] = TAUGHT,
) -> PrompterScores:
    """Let a prompter answer the first question of ``count`` scenes, and score it.

    Args:
        prompter: to be measured.
        segmenter: makes masks from the answers in the default prompt combination.
        count: number of scenes; other prompt combinations are measured on a quarter of them.
        temperature: of sampling; 0 for greedy decoding.
        vocabulary: the prompt combinations that it was taught.
    """
    painted = scenes(count)
    settings = GenerationSettings(max_new_tokens=224, temperature=temperature)
    valid: dict[str, float] = {}
    for name in vocabulary:
        subset = painted if name == DEFAULT_COMBINATION else painted[: max(count // 4, 1)]
        answers = _answers(prompter, subset, name, settings)
        valid[name] = float(np.mean([isinstance(answer, Answer) for answer in answers]))
        if name == DEFAULT_COMBINATION:
            scored = list(zip(painted, answers, strict=True))
    counts = [len(answer.objects) for _, answer in scored if isinstance(answer, Answer)]
    rejected = [isinstance(answer, Answer) and not answer.objects for scene, answer in scored if not scene.targets]
    return PrompterScores(
        n=count,
        giou=100 * float(np.mean([_iou(scene, answer, prompter, segmenter) for scene, answer in scored])),
        objects_found=float(np.mean(counts)) if counts else 0.0,
        objects_wanted=float(np.mean([len(scene.targets) for scene in painted])),
        rejected_of_empty=float(np.mean(rejected)) if rejected else float("nan"),
        valid=valid,
    )


def _answers(
    prompter: Prompter, painted: Sequence[Scene], name: str, settings: GenerationSettings
) -> list[Answer | FormatError]:
    """The answers to the first question of each scene, in the prompt combination of that name."""
    combination = PROMPT_COMBINATIONS[name]
    answers = []
    for start in range(0, len(painted), settings.batch_size):
        batch = painted[start : start + settings.batch_size]
        images, questions = [scene.image for scene in batch], [scene.questions[0] for scene in batch]
        completions = prompter.answer(images, questions, combination, settings)
        answers += [parse(completion.text, combination, prompter.frame) for completion in completions]
    return answers


def _iou(scene: Scene, answer: Answer | FormatError, prompter: Prompter, segmenter: Sam2Segmenter) -> float:
    """Equation 4 of the paper for one scene: 1 for a correct rejection, 0 for an answer that does not parse."""
    if isinstance(answer, FormatError):
        return 0.0
    if not scene.targets or not answer.objects:
        return float(not scene.targets and not answer.objects)
    height, width = scene.mask.shape
    [segmented] = segmenter.decode(
        segmenter.encode(scene.image), [answer.objects], source=prompter.frame, out=Frame(width, height)
    )
    intersection, union = intersection_union(segmented.mask, scene.mask)
    return float(intersection / union)


def main() -> None:
    """Score the prompter that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the folder of a prompter, or its name")
    parser.add_argument("--segmenter", default="sam2-mini")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--vocabulary", default="boxes-and-points", choices=VOCABULARIES, help="that it was taught")
    parser.add_argument("--out", type=Path, help="also write the scores to this file, as JSON")
    args = parser.parse_args()
    prompter, segmenter = load_prompter(args.folder), load_segmenter(args.segmenter)
    scores = measure(prompter, segmenter, args.scenes, args.temperature, VOCABULARIES[args.vocabulary])
    text = json.dumps(asdict(scores), indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
