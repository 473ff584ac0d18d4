"""A released model that is asked with another text than it knows is evaluated with a warning."""

import pytest

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiments import RELEASED
from t2s_pipeline.steps.evaluation import evaluate
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.systems.resolve import resolve


class FirstStepError(Exception):
    """The evaluation has got as far as its first step."""


@pytest.fixture
def warnings(tmp_path, monkeypatch) -> list[str]:
    """What is said before the first step of an evaluation of each released model, without and with a template."""
    settings, messages = Settings(tmp_path, tmp_path / "python"), []
    text = tmp_path / "text.toml"
    text.write_text('user = "Find {Question}"')

    def stop(self, step):
        raise FirstStepError

    monkeypatch.setattr(Runner, "run", stop)
    for name in RELEASED:
        for file in (None, text):
            said: list[str] = []
            with pytest.raises(FirstStepError):
                evaluate(
                    Runner(settings, None, said.append), resolve(name, settings).asked_with(file), "earthreason", "val"
                )
            messages += [(name, file, message) for message in said]
    return messages


def test_a_released_model_without_its_text_gets_a_warning_that_names_the_option(warnings):
    assert [(name, file) for name, file, _ in warnings] == [(name, None) for name in RELEASED]
    assert all("--template FILE" in message and message.startswith("warning: ") for _, _, message in warnings)
