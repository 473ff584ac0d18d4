"""Any text of a model, mask, table, query or setting gives a value or the one kind of fault that is stated."""

import json
import pickle
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.datasets.coco import CocoMask
from t2s_pipeline.datasets.restricted_pickle import loads
from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.lax import parse_both
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.steps.external.run_length_forms import coco_form
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame
from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.run_lengths import Runs
from tests.fuzz.cases import CASES, ODD, as_json, cases_of, damaged, damaged_bytes, only

FRAME = Frame.square(840)
OBJECT = {"bbox_2d": [10, 20, 50, 60], "positive_points": [[12, 22], [40, 50]], "negative_points": [[1, 1]]}
TAGS = ["<think>", "</think>", "<answer>", "</answer>", "```json", "[", "]", "{", "}", ",", "'", "“", " ", "[1, 2"]
PARTS = [
    '"bbox_2d":',
    '"positive_points":',
    "NaN",
    "-",
    "1e999",
    "9" * 400,
    "\\u",
    "\ud800",
    "null",
    "[[" * 50,
    "{" * 50,
]
MARKS = st.sampled_from([*TAGS, *PARTS])
ANSWERS = st.one_of(
    damaged([OBJECT, OBJECT]).map(lambda value: f"<think>a</think><answer>{as_json(value)}</answer>"),
    st.lists(MARKS, max_size=40).map("".join),
    st.text(max_size=200),
    damaged([OBJECT])
    .map(as_json)
    .flatmap(lambda text: damaged_bytes(text.encode()))
    .map(partial(str, encoding="latin-1")),
)


def test_continuous_integration_tries_twenty_thousand_cases():
    assert sum(CASES.values()) >= 20_000


@cases_of("answers")
@given(ANSWERS, st.sampled_from(sorted(PROMPT_COMBINATIONS)))
def test_answers(text: str, name: str):
    combination = PROMPT_COMBINATIONS[name]
    strict = parse(text, combination, FRAME)
    both = parse_both(text, combination, FRAME)
    for reading in (strict, both.lax):
        for item in reading.objects if isinstance(reading, Answer) else ():
            points = [*item.positive_points, *item.negative_points]
            numbers = [*(item.bbox or ()), *(number for point in points for number in point)]
            assert np.isfinite(np.array(numbers, dtype=float)).all()


RUNS = masks.encode(np.indices((23, 31)).sum(0) % 5 < 2)
COUNTS = st.one_of(
    damaged_bytes(RUNS.counts.encode()).map(partial(str, encoding="latin-1")),
    st.text(st.characters(min_codepoint=44, max_codepoint=115), max_size=40),
    st.text(max_size=20),
)
SIDES = st.sampled_from([23, 31, 0, 1, -1, 10**4, 2**31, 2**63])
SEGMENTATIONS = st.one_of(
    damaged({"size": [23, 31], "counts": RUNS.counts}),
    damaged({"size": [23, 31], "counts": [700, 13]}),
    damaged({"height": 23, "width": 31, "counts": str(RUNS.counts.encode())}),
    damaged([[1, 1, 20, 1, 20, 20], [3.5, 4, 9, 9, 2, 8]]),
    ODD,
    ODD.map(as_json),
    st.recursive(ODD, lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)


@cases_of("run_lengths")
@given(COUNTS, SIDES, SIDES, SEGMENTATIONS)
def test_run_lengths(counts: str, height: int, width: int, segmentation: Any):
    rle = Rle(height, width, counts)
    if height * width < 10**6 or height <= 0:
        decoded = only(InputError, lambda: masks.decode(rle))
        assert decoded is None or decoded.shape == (height, width)
        runs = only(InputError, lambda: Runs.of(rle))
        assert (runs is None) == (decoded is None) and (runs is None or runs.area == decoded.sum())
    mask = only(UnusableFileError, lambda: CocoMask((coco_form(segmentation),)).mask(31, 23))
    assert mask is None or masks.decode(mask).shape == (23, 31)


REFERENCES = [
    {"ref_id": 1, "split": "train", "sentences": [{"raw": "a ship", "tokens": ["a", "ship"]}], "box": (1.5, None, True)}
]
PICKLES = [pickle.dumps(REFERENCES * 2, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
BUILDS = [*map(bytes, zip(b"])}(aesuldt012N.RbQ", strict=True)), b"K\x01", b"h\0", b"q\0", b"\x94", b"X\x01\0\0\0a"]
NUMBERS = [
    b"p0\n",
    b"g0\n",
    b"\x8a\x09" + b"\xff" * 9,
    b"J\xff\xff\xff\xff",
    b"F1e999\n",
    b"I01\n",
    b"L9L\n",
    b"S'x'\n",
]
OPERATIONS = st.sampled_from([*BUILDS, *NUMBERS, b"cos\nsystem\n", b"\x85", b"\x86", b"\x87", b"\x93", b"\x81"])


@cases_of("pickles")
@given(
    st.one_of(
        st.sampled_from(PICKLES).flatmap(damaged_bytes),
        st.lists(OPERATIONS, max_size=120).map(lambda parts: b"\x80\x04" + b"".join(parts) + b"."),
        st.binary(max_size=100),
    )
)
def test_pickles(data: bytes):
    value = only(InputError, lambda: loads(data, "refs(unc).p"))
    assert len(repr(value)) < 200 * (1 << 16)  # it can be shown


KEYS = ["grpo.steps", "grpo.learning_rate", "seed", "name", "recipe.combination", "compute.zero", "grpo", "segmenter"]
KEYS += ["generation.temperature", "generation.max_new_tokens", "prompter", "watch.validate"]
NUMERIC = [
    "none",
    "NULL",
    "true",
    "1",
    "-1",
    "0",
    "1e5",
    "nan",
    "inf",
    "-inf",
    "9" * 400,
    "9" * 5000,
    "1_000",
    "٣",
    "1.5",
]
NAMES = ["bbox", "pos2", "bbox+pos2", " 1 ", "a" * 300, "../x", "a=b", "\0", "~nobody"]
VALUES = st.text(max_size=30) | st.sampled_from([*NUMERIC, *NAMES])


@cases_of("overrides")
@given(st.lists(st.tuples(st.sampled_from(KEYS) | st.text(max_size=12), VALUES), min_size=1, max_size=4))
def test_overrides(pairs: list[tuple[str, str]]):
    changed = only(InputError, lambda: EXPERIMENTS["think2seg-mini"].with_overrides([f"{k}={v}" for k, v in pairs]))
    if changed is not None:
        assert type(changed).from_json(json.loads(json.dumps(changed.as_json()))) == replace(changed)
        assert changed.fingerprint and len(changed.run) < 200


PLAIN_WORDS = (
    "select * from leaderboard samples failures where 1 'a' ( ) , ; -- /* */ copy set explain $1 ? pivot".split()
)
PHRASES = ["union all", "with x as", "limit 1", "read_csv('/etc/passwd')", "attach ':memory:'", "install httpfs", "\0"]
PHRASES += [
    "pragma database_list",
    "unnest([1, 2])",
    "range(10)",
    "order by",
    "1/0",
    "cast('x' as int)",
    "describe",
    "'",
]
PHRASES += ["show tables", '"', "é", "\ud800", "values (1)", "glob('/*')", "getenv('HOME')"]
WORDS = st.sampled_from([*PLAIN_WORDS, *PHRASES])


@pytest.mark.orchestrator
@cases_of("sql")
@given(sql=st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=40))
def test_sql(sql: str, tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("duckdb")
    from t2s_pipeline.core.settings import Settings
    from t2s_pipeline.lake.views import Limits, query

    home = tmp_path_factory.getbasetemp() / "sql"
    home.mkdir(exist_ok=True)
    table = only(T2SError, lambda: query(Settings(home, home / "python"), sql, Limits(5.0, 128)))
    assert table is None or "root:" not in str(table.to_pylist())
