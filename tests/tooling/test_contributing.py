"""The examples of CONTRIBUTING.md fit the code: each object can be made and registered, each diff has its place."""

import importlib
import re

import pytest

from t2s_pipeline.core.registry import Registry
from t2s_pipeline.core.settings import REPO

TEXT = (REPO / "CONTRIBUTING.md").read_text("utf-8")
SECTIONS = {
    "A benchmark": ("t2s_pipeline.datasets.registry", "BENCHMARKS", "roads"),
    "A method": ("t2s_pipeline.methods.registry", "METHODS", "points-only"),
    "A prompt combination": ("t2s_pipeline.prompting.combinations", "PROMPT_COMBINATIONS", "pos3"),
    "A prompter family": ("t2s_pipeline.prompters.families", "FAMILIES", "idefics3"),
    "A segmenter": ("t2s_pipeline.segmenters.registry", "SEGMENTERS", "sam2.1-small-aerial"),
}
"""Heading → the module of the registry, the registry's name, and the name of the example in it."""


def block(heading: str, language: str) -> str:
    """The only code block of that language below a heading."""
    section = re.split(rf"^### {re.escape(heading)}$", TEXT, flags=re.MULTILINE)[1].split("\n### ")[0]
    (content,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return content


def test_every_kind_has_a_section_and_no_section_is_untested() -> None:
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == list(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_object_of_an_example_can_be_registered(heading: str) -> None:
    module, variable, name = SECTIONS[heading]
    registry: Registry = getattr(importlib.import_module(module), variable)
    kind = type(next(iter(registry.values())))
    namespace: dict = {"__name__": "example"}
    exec(compile(block(heading, "python"), f"CONTRIBUTING.md, {heading}", "exec"), namespace)
    (item,) = (value for value in namespace.values() if isinstance(value, kind))
    extended = Registry(variable, registry.values(), key=registry._key)
    extended.register(item)
    assert extended.named(name) is item


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_lines_that_a_diff_starts_from_are_in_its_file(heading: str) -> None:
    first, *lines = block(heading, "diff").splitlines()
    path = first.removeprefix("--- ")
    assert path == SECTIONS[heading][0].replace(".", "/") + ".py"
    content = (REPO / path).read_text("utf-8")
    before = [line[1:] for line in lines if line[0] in " -"]
    assert before, "the diff shows where the new line goes"
    assert "\n".join(before) in content
    assert any(line.startswith("+") for line in lines)
