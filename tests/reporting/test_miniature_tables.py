"""The page of the tables in miniature, from scores that are worked out by hand."""

import re

import pyarrow as pa
import pytest

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake.schema import SAMPLE_SCORES, SAMPLES, STEP_TIMES
from t2s_pipeline.lake.store import append_rows, list_partitions, write_partition
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, experiment
from t2s_pipeline.methods.miniature_tables import BASE, MINIATURE_TABLES, REFERRING, StudySystem
from t2s_pipeline.reporting.kept_studies import keep_results
from t2s_pipeline.reporting.miniature_tables import miniature_tables


def put(lake, system: str, ious: list[float], dataset: str = REFERRING) -> None:
    rows = [
        {
            "sample_id": f"s{number}",
            "image_id": f"s{number}",
            "question_index": 0,
            "intersection": int(100 * iou),
            "union": 100,
            "iou": iou,
            "hit": iou > 0.5,
            "gt_empty": False,
            "pred_empty": False,
            "status": "ok",
        }
        for number, iou in enumerate(ious)
    ]
    partition = {"system": system, "dataset": dataset, "split": "test", "protocol": "strict"}
    write_partition(lake, SAMPLE_SCORES, partition, pa.Table.from_pylist(rows, schema=SAMPLE_SCORES.schema))


def test_without_results_the_page_says_so(tmp_path):
    page = miniature_tables([tmp_path], range(3))
    assert page.count("Not run yet.") == len(MINIATURE_TABLES)


def test_seeds_are_averaged_and_the_claim_is_tested(tmp_path):
    # Two seeds of the base: 0.2 and 0.4 everywhere, so 30. The rival has 0.8 everywhere with the first seed alone: 60
    # points more than the base with that seed, without doubt.
    put(tmp_path, BASE, [0.2] * 10)
    put(tmp_path, f"{BASE}-seed1", [0.4] * 10)
    put(tmp_path, "vision-reasoner-mini", [0.8] * 10)
    page = miniature_tables([tmp_path], range(3), ["3"])
    base, rival = (
        next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        for name in (BASE, "vision-reasoner-mini")
    )
    assert base.startswith(f"| `{BASE}` | 2 | 10 | 30.00 [30.00, 30.00] |")
    assert "| 1 | 10 | 80.00 [80.00, 80.00] | +60.00 [+60.00, +60.00] |" in rival
    assert rival.endswith(f"better than `{BASE}` |")
    head, rule = (line for line in page.splitlines() if line.startswith(("| system", "|---")))
    assert head.count("|") == rule.count("|") == base.count("|")
    assert f"The claim (`vision-reasoner-mini` before `{BASE}`) holds here: +60.00" in page
    seg_zero = next(line for line in page.splitlines() if "`seg-zero-mini`" in line)
    assert seg_zero.endswith("| not run yet |")


def test_systems_without_a_seed_in_common_are_not_compared(tmp_path):
    put(tmp_path, BASE, [0.2] * 4)
    put(tmp_path, "vision-reasoner-mini-seed1", [0.8] * 4)
    put(tmp_path, "zero-shot-mini", [0.1] * 4)  # depends on no seed
    page = miniature_tables([tmp_path], range(3), ["3"])
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert "| 1 | 4 | 80.00 [80.00, 80.00] |  |" in rows["vision-reasoner-mini"]
    assert f"The claim (`vision-reasoner-mini` before `{BASE}`) is not tested yet." in page
    assert "| 1 | 4 | 10.00 [10.00, 10.00] | -10.00 [-10.00, -10.00] |" in rows["zero-shot-mini"]


def test_a_table_can_have_a_base_of_its_own(tmp_path):
    wide = MINIATURE_TABLES["kinds"].base
    put(tmp_path, wide, [0.5] * 4, "synthetic-studies")
    put(tmp_path, "think2seg-chain-mini", [0.7] * 4, "synthetic-studies")
    page = miniature_tables([tmp_path], range(3), ["kinds"])
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert rows[wide].endswith("| the base of the comparison |")
    assert rows["think2seg-chain-mini"].endswith(f"| better than `{wide}` |")


def test_where_the_interval_holds_zero_nothing_is_claimed(tmp_path):
    put(tmp_path, BASE, [0.5, 0.1, 0.9, 0.4, 0.6, 0.5])
    put(tmp_path, "vision-reasoner-mini", [0.1, 0.5, 0.4, 0.9, 0.5, 0.6])
    page = miniature_tables([tmp_path], range(1), ["3"])
    assert "no difference is shown" in page
    assert "is neither confirmed nor refuted here: +0.00" in page


def test_differences_by_shape_come_with_their_numbers(tmp_path):
    put(tmp_path, BASE, [0.5, 0.5], "synthetic-studies")
    put(tmp_path, "think2seg-geometry-mini", [0.9, 0.4], "synthetic-studies")
    rows = [{"sample_id": "s0", "morphology": "elongated"}, {"sample_id": "s1", "morphology": None}]
    samples = pa.Table.from_pylist(rows, schema=SAMPLES.schema)
    write_partition(tmp_path, SAMPLES, {"dataset": "synthetic-studies", "split": "test"}, samples)
    page = miniature_tables([tmp_path], range(1), ["beyond"])
    assert "(elongated: n = 1, irregular: n = 0, (empty): n = 1)" in page
    assert "| `think2seg-geometry-mini` | +40.00 [+40.00, +40.00] |  | -10.00 [-10.00, -10.00] |" in page


def test_results_that_were_kept_are_on_the_page_and_are_kept_once(tmp_path):
    lake, kept, empty = tmp_path / "lake", tmp_path / "kept", tmp_path / "empty"
    put(lake, BASE, [0.2] * 4)
    put(lake, f"{BASE}-seed1", [0.4] * 4)
    put(lake, "somebody-else", [1.0] * 4)
    time = {"subject": f"{BASE} 40 steps", "seconds": 12.5}
    other = {"subject": "somebody-else", "seconds": 7.0}
    append_rows(lake, STEP_TIMES, {"step_name": "train"}, pa.Table.from_pylist([time, other], schema=STEP_TIMES.schema))
    assert (keep_results(lake, kept, 3), keep_results(lake, kept, 3)) == (2, 0)
    assert [partition["system"] for partition in list_partitions(kept, SAMPLE_SCORES)] == [BASE, f"{BASE}-seed1"]
    page = miniature_tables([empty, kept], range(3), ["3"])
    assert page == miniature_tables([lake], range(3), ["3"])
    assert f"| `{BASE}` | 2 | 4 | 30.00 [30.00, 30.00] |" in page and "| 12 |" in page
    # A result that is kept later adds its own steps; those that were kept before stay as they are.
    put(lake, BASE, [0.3] * 4, "synthetic-fine")
    later = {"subject": f"{BASE} synthetic-fine", "seconds": 4.0}
    append_rows(lake, STEP_TIMES, {"step_name": "train"}, pa.Table.from_pylist([later], schema=STEP_TIMES.schema))
    assert keep_results(lake, kept, 3) == 1
    assert "| 16 |" in miniature_tables([empty, kept], range(3), ["3"])
    # What is measured here comes before what was kept.
    put(empty, BASE, [0.6] * 4)
    assert f"| `{BASE}` | 2 | 4 | 50.00 [50.00, 50.00] |" in miniature_tables([empty, kept], range(3), ["3"])


@pytest.mark.parametrize("system", [system for table in MINIATURE_TABLES.values() for system in table.systems], ids=str)
def test_every_row_names_an_experiment_or_a_system(system: StudySystem):
    if system.experiment:
        assert system.experiment in EXPERIMENTS
    else:
        base = system.name.partition("+")[0]
        assert base in READY or base in EXPERIMENTS


def test_a_seed_belongs_to_the_run_and_not_to_the_variant():
    assert StudySystem("think2seg-mini+negatives").seeded(2) == "think2seg-mini-seed2+negatives"
    assert StudySystem("zero-shot-mini").seeded(2) == "zero-shot-mini"
    trained = StudySystem("think2seg-bbox+pos4-mini", "think2seg-bbox+pos4-mini")
    assert trained.seeded(2) == "think2seg-bbox+pos4-mini-seed2"


@pytest.mark.parametrize("seed", [0, 1])
def test_every_trained_system_has_the_name_of_its_run(seed: int):
    """The name under which `t2s studies run` trains it, and under which it looks for the checkpoint."""
    for table in MINIATURE_TABLES.values():
        for system in table.systems:
            if system.experiment:
                assert experiment(system.run(seed)).run == system.seeded(seed)


def test_a_claim_can_be_open_and_the_opposite_can_be_found(tmp_path):
    """Table 3 claims that VisionReasoner comes before plain Think2Seg-RS."""
    put(tmp_path, BASE, [0.8] * 10)
    page = miniature_tables([tmp_path], range(1), ["3"])
    assert f"The claim (`vision-reasoner-mini` before `{BASE}`) is not tested yet." in page
    put(tmp_path, "vision-reasoner-mini", [0.2] * 10)
    page = miniature_tables([tmp_path], range(1), ["3"])
    assert "does not hold here: the order is reversed: -60.00 [-60.00, -60.00] points." in page
    row = next(line for line in page.splitlines() if line.startswith("| `vision-reasoner-mini`"))
    assert row.endswith(f"| worse than `{BASE}` |")


def test_the_seconds_of_all_steps_of_a_system_are_added(tmp_path):
    put(tmp_path, BASE, [0.8])
    times = [(BASE, 200.0), (f"{BASE} {REFERRING} test", 1034.4), ("another", 5.0), (None, 7.0), (BASE, None)]
    for number, (subject, seconds) in enumerate(times):
        rows = pa.Table.from_pylist([{"subject": subject, "seconds": seconds}], schema=STEP_TIMES.schema)
        write_partition(tmp_path, STEP_TIMES, {"step_name": f"s{number}"}, rows)
    page = miniature_tables([tmp_path], range(1), ["3"])
    row = next(line for line in page.splitlines() if line.startswith(f"| `{BASE}`"))
    assert row.split("|")[-3].strip() == "1,234"


PAGE = REPO / "docs" / "miniature_tables.md"


def test_the_page_is_made_from_the_results_that_were_kept():
    """Only the differences by shape need the samples, which are not kept."""
    lines = miniature_tables([REPO / "docs" / "studies"], range(3)).splitlines()
    assert sum(line.startswith("| `") for line in lines) > 40
    assert set(lines) <= set(PAGE.read_text("utf-8").splitlines())


def test_what_is_said_of_the_studies_is_on_the_page():
    """Every difference with an interval in docs/beyond.md, rounded, is one of the page's."""
    number = r"([+-]?\d+\.\d+)"
    difference = re.compile(rf"{number}\**\s+\[{number}, {number}\]")
    measured = [tuple(map(float, found)) for found in difference.findall(PAGE.read_text("utf-8"))]
    section = (REPO / "docs" / "beyond.md").read_text("utf-8").partition("## What came out")[2].partition("\n## ")[0]
    told = difference.findall(section)
    assert len(told) > 20
    for found in told:
        values = tuple(map(float, found))
        assert any(all(abs(a - b) < 0.051 for a, b in zip(values, row, strict=True)) for row in measured), found
