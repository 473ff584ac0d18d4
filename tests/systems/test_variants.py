"""A system with a variant behind its name answers with that change, under that name."""

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.systems.resolve import VARIANTS, resolve


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    return Settings.from_env()


def test_a_variant_changes_how_a_system_answers_and_nothing_else(settings):
    plain, changed = resolve("zero-shot-mini", settings), resolve("zero-shot-mini+negatives", settings)
    assert (plain.recipe.inference.negatives, changed.recipe.inference.negatives) == (0, 2)
    assert (changed.name, changed.prompter, changed.segmenter) == (
        "zero-shot-mini+negatives",
        plain.prompter,
        plain.segmenter,
    )
    assert (
        resolve("zero-shot-mini+negatives", settings, ["recipe.inference.negatives=5"]).recipe.inference.negatives == 5
    )


@pytest.mark.parametrize("name", ["zero-shot-mini+nothing", "nothing+negatives", "+negatives"])
def test_an_unknown_system_or_variant_is_named(settings, name):
    with pytest.raises(InputError, match="There is no system"):
        resolve(name, settings)


def test_every_variant_is_a_setting_of_answering(settings):
    for variant in VARIANTS:
        assert resolve(f"zero-shot-mini+{variant}", settings).name.endswith(variant)
