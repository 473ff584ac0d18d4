"""`t2s compare`, `t2s label`, and rows on a terminal: what is shown, and what cannot be asked for."""

import io
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.commands.plain_rows import Terminal  # noqa: E402
from tests.commands.test_cli import message_of, t2s  # noqa: E402
from tests.reporting.test_miniature_tables import put  # noqa: E402


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two systems on the dataset a, and one of them on b."""
    put(tmp_path / "lake", "mine", [0.5, 0.9], "a")
    put(tmp_path / "lake", "theirs", [0.2, 0.6], "a")
    put(tmp_path / "lake", "mine", [0.1], "b")
    return tmp_path


def test_the_difference_of_two_systems_where_both_have_scores(home: Path):
    lines = [line.split() for line in t2s(home, "compare", "mine", "theirs").stdout.splitlines()]
    giou = next(line for line in lines if "giou" in line)
    # Both images differ by 30 points, so every resampling does.
    assert {"mine", "theirs", "a", "test", "strict", "2", "30.00"} <= set(giou) and giou.count("30.00") == 3
    assert not [line for line in lines if "b" in line]
    reverse = t2s(home, "compare", "theirs", "mine", "--dataset", "a", "--split", "test").stdout
    assert next(line for line in reverse.splitlines() if "giou" in line).count("-30.00") == 3


@pytest.mark.parametrize("options", [("--dataset", "b"), ("--split", "val")])
def test_systems_without_samples_in_common_cannot_be_compared(home: Path, options: tuple[str, ...]):
    message = message_of(t2s(home, "compare", "mine", "theirs", *options))
    assert message.startswith("mine and theirs have no answered samples in common.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("x",), "There is no labelling 'x'. There are: seg-zero, vision-reasoner, remote-reasoner."),
        (("--set", "x.eps=7"), "--set x.eps=7 must begin with a method: seg-zero, vision-reasoner, remote-reasoner."),
        (
            ("seg-zero", "--set", "vision-reasoner.eps=7"),
            "--set vision-reasoner.eps=7 must begin with a method: seg-zero.",
        ),
    ],
)
def test_a_labelling_that_does_not_exist_is_one_sentence(tmp_path: Path, words: tuple[str, ...], sentence: str):
    assert message_of(t2s(tmp_path, "label", *words)) == sentence


class Screen(io.StringIO):
    """A terminal."""

    encoding = "ascii"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("terminal", "bold"), [("xterm", "\x1b[1m{}\x1b[0m"), ("dumb", "{}")])
def test_a_heading_is_bold_where_the_terminal_can(monkeypatch: pytest.MonkeyPatch, terminal: str, bold: str):
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    Terminal(screen, 200).print_rows(["a", "b"], [False, True], [["x", "10"], ["y", "9"]])
    assert screen.getvalue().splitlines() == [bold.format("a   b"), "x  10", "y   9"]


def test_rows_that_are_wider_than_the_terminal_are_one_line_per_value(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "12")
    screen = Screen()
    Terminal(screen, 200).print_rows(["a", "long"], [False, False], [["x" * 9, "1"], ["y", "2"]])
    assert screen.getvalue().splitlines() == [
        "row 1 ------", "a     xxxxxxxxx", "long  1", "row 2 ------", "a     y", "long  2",
    ]  # fmt: skip
