"""The masks of first answers, for the prompts of a run that are a second look.

They are those of the untrained base, made before the first step, so that a resumed run sees the same pictures.
"""

from collections.abc import Sequence

import numpy as np

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.training.dataset import QuestionChoice, Squares, TrainingSample
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import PromptObject


def first_masks(
    experiment: Experiment,
    samples: Sequence[TrainingSample],
    order: Sequence[QuestionChoice],
    squares: Squares,
    models: tuple[Prompter, Sam2Segmenter],
    progress: Progress,
) -> dict[int, masks.Rle]:
    """Place of a prompt in the run → the mask of the base's answer to it, on the prompter's square.

    Every second prompt is a second look; none if the recipe has one turn.

    Args:
        experiment: the settings.
        samples: of the run.
        order: the prompts.
        squares: the images.
        models: the prompter with its untrained weights, and the segmenter.
        progress: receives the number of answers.
    """
    if experiment.recipe.turns == 1:
        return {}
    prompter, segmenter = models
    combination = PROMPT_COMBINATIONS[experiment.combination]
    places = list(range(1, len(order), 2))
    results: dict[int, masks.Rle] = {}
    progress.start(f"{experiment.run}: first answers", len(places))
    for start in range(0, len(places), experiment.generation.batch_size):
        batch = places[start : start + experiment.generation.batch_size]
        asked = [(samples[order[place].sample], order[place].question) for place in batch]
        images = [np.ascontiguousarray(squares[sample.image_key]) for sample, _ in asked]
        questions = [sample.questions[question] for sample, question in asked]
        completions = prompter.answer(images, questions, combination, experiment.generation)
        for place, image, completion in zip(batch, images, completions, strict=True):
            answer = parse(completion.text, combination, prompter.answers, experiment.recipe.repair)
            objects = answer.objects if isinstance(answer, Answer) else ()
            results[place] = _mask((prompter, segmenter), experiment, image, objects)
        progress.advance(len(results))
    return results


def _mask(
    models: tuple[Prompter, Sam2Segmenter],
    experiment: Experiment,
    image: np.ndarray,
    objects: tuple[PromptObject, ...],
) -> masks.Rle:
    """The mask of an answer's objects on the square; empty without objects."""
    (prompter, segmenter), inference = models, experiment.recipe.inference
    if not objects:
        return masks.encode(np.zeros(image.shape[:2], bool))
    embedding, prompts = segmenter.encode(image), inference.prompts(objects)
    [decoded] = segmenter.decode(embedding, [prompts], prompter.answers, prompter.frame, inference.multimask)
    return masks.encode(decoded.mask)
