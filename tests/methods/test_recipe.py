"""A recipe is checked when it is made, and its inference says what the segmenter is fed."""

from dataclasses import asdict

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.registry import METHODS
from t2s_pipeline.vision.geometry import PromptObject

BOX = PromptObject(bbox=(10.0, 20.0, 30.0, 60.0))


def test_a_box_gets_its_centre_where_the_recipe_says_so():
    # ((10 + 30) / 2, (20 + 60) / 2)
    assert Inference(box_centre=True).prompts([BOX]) == (PromptObject(BOX.bbox, ((20.0, 40.0),)),)
    assert Inference().prompts([BOX]) == (BOX,)


def test_points_that_are_there_stay_and_an_object_without_a_box_is_left_as_it_is():
    pointed = PromptObject(BOX.bbox, ((11.0, 21.0),), ((12.0, 22.0),))
    [fed] = Inference(box_centre=True).prompts([pointed])
    assert fed == PromptObject(BOX.bbox, ((11.0, 21.0), (20.0, 40.0)), ((12.0, 22.0),))
    bare = PromptObject(positive_points=((1.0, 2.0),))
    assert Inference(box_centre=True).prompts([bare]) == (bare,)


def test_the_papers_recipe_is_the_default():
    recipe = METHODS["think2seg"].recipe
    assert recipe == Recipe()
    assert (recipe.combination, recipe.reward, recipe.labels) == ("bbox+pos2", "paper", "")
    assert recipe.inference == Inference(multimask=False, box_centre=False)


def test_a_recipe_survives_json():
    assert Recipe.from_json(asdict(Recipe("bbox", inference=Inference(multimask=True)))) == Recipe(
        "bbox", inference=Inference(multimask=True)
    )


@pytest.mark.parametrize(("wrong", "message"), [({"combination": "circles"}, "bbox"), ({"reward": "none"}, "paper")])
def test_what_does_not_exist_is_named_with_what_does(wrong: dict, message: str):
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"turns": 3}, "recipe.turns must be 1 or 2, not 3"),
        ({"reward": "vision-reasoner"}, "compares answers with labels: name some in recipe.labels"),
        ({"reward": "seg-zero", "labels": "seg-zero", "combination": "bbox"}, "in the combination 'seg-zero' only"),
        ({"labels": "mine"}, "Labelling"),
    ],
)
def test_settings_that_do_not_fit_together_are_one_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        Recipe(**settings)
