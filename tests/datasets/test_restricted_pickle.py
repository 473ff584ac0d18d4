"""A pickle gives plain values or one sentence; nothing it says is ever run."""

import os
import pickle
import pickletools
import struct
import subprocess
import sys
from collections import OrderedDict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import restricted_pickle
from t2s_pipeline.datasets.restricted_pickle import PLAIN, loads, read_pickle

INTEGERS = st.integers(-(2**63), 2**63 - 1)
PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | INTEGERS, inner),
    max_leaves=20,
)


@given(PLAIN_VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_come_back_under_every_protocol(value, protocol):
    assert loads(pickle.dumps(value, protocol), "x") == value


def test_strings_of_python_two_come_back():
    # {'sent': 'le café'} as Python 2 wrote it under protocols 0 and 2: byte strings.
    assert loads(b"(dp0\nS'sent'\np1\nS'a ship'\np2\ns.", "x") == {"sent": "a ship"}
    assert loads(b"(dp0\nS'sent'\np1\nS'le caf\\xc3\\xa9'\np2\ns.", "x") == {"sent": "le café"}
    assert loads(b"(dp0\nS'sent'\np1\nS'le caf\xc3\xa9'\np2\ns.", "x") == {"sent": "le café"}
    assert loads(b"\x80\x02}q\x00U\x04sentq\x01U\x08le caf\xc3\xa9q\x02s.", "x") == {"sent": "le café"}


class Runs:
    """Would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    victim = tmp_path / "victim"
    data = pickle.dumps([{"ref_id": 1}, Runs(victim)], protocol)
    with pytest.raises(InputError, match=r"was refused: its operation \w+ could run code"):
        loads(data, "refs(unc).p")
    assert not victim.exists()
    pickle.loads(data)  # noqa: S301 (it would have)
    assert victim.exists()


@pytest.mark.parametrize("value", [date(2026, 1, 1), OrderedDict(a=1), np.float64(1), np.zeros(3), {1, 2}, b"x", print])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_everything_that_is_not_plain_is_refused(value, protocol):
    with pytest.raises(InputError, match="was refused"):
        loads(pickle.dumps(value, protocol), "x")


def test_no_admitted_operation_can_look_up_call_or_set_state():
    harmful = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "PERSID", "BINPERSID"}
    harmful |= {"EXT1", "EXT2", "EXT4", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"}
    known = {operation.name for operation in pickletools.opcodes}
    assert harmful <= known
    assert PLAIN <= known
    assert not PLAIN & harmful


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b".", id="memo of two thousand million places"),
        pytest.param(b"\x80\x04X" + struct.pack("<I", 2**32 - 1) + b"abc.", id="string longer than the file"),
        pytest.param(b"\x80\x05\x8d" + struct.pack("<Q", 2**62) + b"abc.", id="string of four exabytes"),
        pytest.param(b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.", id="frame of four exabytes"),
        pytest.param(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", id="byte array of a terabyte"),
        pytest.param(b"I" + b"9" * 100_000 + b"\n.", id="number of a hundred thousand digits"),
        pytest.param(b"(" * 100_000 + b".", id="marks without end"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80\x09N.", id="protocol of the future"),
        pytest.param(b"PK\x03\x04", id="a zip archive"),
    ],
)
def test_hostile_bytes_are_refused_in_little_memory(data, tmp_path):
    (tmp_path / "refs(unc).p").write_bytes(data)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "from t2s_pipeline.datasets.restricted_pickle import read_pickle\n"
        "from t2s_pipeline.core.errors import InputError\n"
        "try: read_pickle(Path(sys.argv[1]))\n"
        "except InputError as fault: print(fault)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "refs(unc).p"], capture_output=True, text=True, check=True
    )
    assert "refs(unc).p" in done.stdout


@given(st.binary(max_size=200))
def test_any_bytes_are_plain_values_or_one_sentence(data):
    try:
        loads(data, "x")
    except InputError:
        pass


@given(PLAIN_VALUES, st.data())
def test_a_damaged_pickle_is_plain_values_or_one_sentence(value, data):
    damaged = bytearray(pickle.dumps(value, 4))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        loads(bytes(damaged), "x")
    except InputError:
        pass


def doubled(levels: int, innermost: object) -> object:
    """Each level holds the level below twice. A pickle stores it once."""
    value = innermost
    for _ in range(levels):
        value = [value, value]
    return value


def inside_itself() -> object:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(doubled(40, "x"), "stand for a value of", id="a list that doubles 40 times"),
        pytest.param(doubled(200, "x"), "more than 64 levels", id="a list of 200 levels"),
        pytest.param({"a": doubled(40, {"k": 1})}, "stand for a value of", id="the same inside of a dict"),
        pytest.param([["x" * 10_000] * 1000] * 1000, "stand for a value of", id="a long text at a million places"),
        pytest.param(inside_itself(), "more than 64 levels", id="a list inside of itself"),
        pytest.param([10**5000], "more than 64 bits", id="a number that Python does not print"),
    ],
)
def test_a_small_pickle_of_an_endless_value_is_refused(value, reason):
    data = pickle.dumps(value, 4)
    assert len(data) < 25_000
    with pytest.raises(InputError, match=reason):
        loads(data, "x")


def test_a_pickle_may_share_what_is_small():
    sentence = {"raw": "a ship", "tokens": ["a", "ship"]}
    value = [{"ref_id": i, "split": "train", "sentences": [sentence] * 3} for i in range(1000)]
    assert loads(pickle.dumps(value, 2), "x") == value


def test_a_file_above_the_cap_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    monkeypatch.setattr(restricted_pickle, "MAX_BYTES", 5)
    with pytest.raises(InputError, match="more than 5 bytes"):
        read_pickle(path)
