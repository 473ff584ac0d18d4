"""Numbers in environment variables, and paths with ``~``, are read in one way."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO

NAME = "T2S_SOME_NUMBER"


@given(st.floats(1e-6, 1e9))
def test_a_number_is_read(number: float):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(NAME, repr(number))
        assert positive_number(NAME, 5) == number


@pytest.mark.parametrize("text", ["0", "-1", "nan", "many", "1,5", "1 2"])
def test_what_is_no_number_above_0_is_refused_by_name(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(InputError, match=f"{NAME} is '{text}': give a number above 0"):
        positive_number(NAME, 5)


@pytest.mark.parametrize("text", [None, ""])
def test_without_a_value_it_is_the_default(text: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(NAME, raising=False)
    if text is not None:
        monkeypatch.setenv(NAME, text)
    assert positive_number(NAME, 5) == 5


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "earthreason", "--root", "~nobody-of-this-name/x"),
        ("models", "add", "some-model", "~nobody-of-this-name/x"),
        ("ask", "~nobody-of-this-name/x.tif", "Where?"),
        ("ask", "x.tif", "--questions", "~nobody-of-this-name/q.txt"),
    ],
)
def test_a_home_folder_of_nobody_is_one_sentence(words: tuple[str, ...], tmp_path):
    pytest.importorskip("dagster")
    environment = {"T2S_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPO), "T2S_CATALOG": "off"}
    command = [sys.executable, "-m", "t2s_pipeline.cli", *words]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "~nobody-of-this-name" in said and "Traceback" not in said, said
