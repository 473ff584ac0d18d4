"""The results page says what the lake holds, names what is missing, and lets no model text act on the reader."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("matplotlib")

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.reporting.page import build_report
from tests.reporting import report_lake
from tests.reporting.report_lake import BASELINE, SYSTEM

pytestmark = pytest.mark.orchestrator


class Reader(HTMLParser):
    """What a browser would act on: tags, addresses, and the text that people see."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.text = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path, tmp_path / "no-worker")


def page_of(settings: Settings, **choices) -> str:
    return build_report(settings, **choices).read_text(encoding="utf-8")


def words(page: str) -> str:
    return " ".join(Reader(page).text.split())


def test_an_empty_lake_makes_a_page_that_says_so(settings):
    page = page_of(settings)
    assert "Nothing has been evaluated yet." in words(page)
    assert "This lake has no log of a training run" in words(page)
    assert "<img" not in page and "Leaderboard" not in page


def test_its_commands_find_the_tables_it_was_made_from(settings):
    assert f"T2S_HOME={settings.home} .venv/bin/t2s sql" in words(page_of(settings))


def test_full_page_states_who_wins_by_how_much_and_on_what(settings):
    report_lake.write(settings.lake, n=14)
    report_lake.write_training(settings.lake)
    text = words(page_of(settings))
    row = store.read_partition(settings.lake, schema.PAIRED_DIFFERENCES, {}).to_pylist()[0]
    assert row["low"] > 0
    assert f"{SYSTEM} is better than {BASELINE} by {row['difference']:.1f} points gIoU." in text
    assert f"95 % interval +{row['low']:.1f} to +{row['high']:.1f} points, 14 samples of synthetic test" in text
    assert "strict protocol" in text and "reference protocol" in text
    assert "60 steps in 4.0 minutes" in text


def test_leaderboard_holds_every_row_with_its_interval(settings):
    report_lake.write(settings.lake, n=8)
    text = words(page_of(settings))
    for row in store.read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist():
        assert f"{row['giou']:.1f} {row['giou_low']:.1f}–{row['giou_high']:.1f}" in text.replace("  ", " ")


def test_pictures_show_question_thought_prompts_and_iou_of_both_systems(settings):
    report_lake.write(settings.lake, n=12)
    page = page_of(settings)
    assert page.count('<article class="card example">') == 10
    assert page.count("data:image/jpeg;base64") == 40  # image, truth, base, trained
    assert "Tankers unload where pipes end" in page
    assert "says “no target”, which is right" in words(page)
    assert "format error (json: ends too soon)" in words(page)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href='javascript:alert(3)'>{{ 7*7 }}\u202e$x^2$"


def test_hostile_model_text_is_shown_and_does_nothing(settings):
    report_lake.write(settings.lake, n=6, question=HOSTILE, thought=HOSTILE)
    page = page_of(settings)
    reader = Reader(page)
    assert "script" not in reader.tags
    assert reader.handlers == []
    assert not [a for a in reader.addresses if a.startswith("javascript")]
    assert "<script>alert(1)</script>" in reader.text  # as text
    assert "{{ 7*7 }}" in reader.text


def test_hostile_names_of_datasets_and_runs_do_nothing_either(settings):
    name = "<b onclick=x>$\\frac$"
    report_lake.write(settings.lake, n=6, dataset=name)
    report_lake.write_training(settings.lake, run="<i onload=y>&$z$")
    reader = Reader(page_of(settings))
    assert reader.handlers == []
    assert not {"b", "i"} & set(re.findall(r"<(\w) on", page_of(settings)))
    assert name in reader.text


def test_the_page_needs_nothing_from_outside(settings):
    report_lake.write(settings.lake, n=12)
    report_lake.write_training(settings.lake)
    page = page_of(settings)
    outside = [a for a in Reader(page).addresses if not a.startswith(("#", "data:", "http://127.0.0.1:3000"))]
    assert outside == []
    assert "url(http" not in page and "@import" not in page
    assert "default-src 'none'" in page
    assert len(page.encode()) < 5_000_000


def test_what_was_not_run_is_named(settings):
    report_lake.write(settings.lake, n=6, split="val")
    text = words(page_of(settings))
    assert "The test split has not been evaluated." in text
    assert "This lake has no log of a training run" in text


def test_one_system_alone_is_reported_without_a_comparison(settings):
    report_lake.write(settings.lake, n=6)
    rows = store.read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    only = [row for row in rows if row["system"] == BASELINE]
    table = pa.Table.from_pylist(only, schema.BENCHMARK_METRICS.schema)
    store.write_partition(settings.lake, schema.BENCHMARK_METRICS, {}, table)
    store.write_partition(settings.lake, schema.PAIRED_DIFFERENCES, {}, schema.PAIRED_DIFFERENCES.schema.empty_table())
    text = words(page_of(settings))
    reaches = f"{BASELINE} reaches {only[0]['giou']:.1f} gIoU; no run that was trained here has been evaluated."
    assert reaches in text
    assert "better than" not in text and "before training" not in text


def test_two_systems_that_nobody_trained_here_are_listed_without_a_winner(settings):
    """Another project's masks and an untrained prompter were not meant to be compared, whatever their difference."""
    report_lake.write(settings.lake, n=6)
    rename(settings, "lisa", base=None)
    partition_file(settings.lake, schema.CHECKPOINTS, {"run": SYSTEM}).unlink()
    text = words(page_of(settings))
    assert "2 systems have been evaluated; no run that was trained here has been evaluated." in text
    assert "better than" not in text and "worse than" not in text
    assert "not compared" in text


def test_a_run_is_compared_with_no_other_base_than_its_own(settings):
    """The difference to a system that is not the run's base is in the lake, and must not become the headline."""
    report_lake.write(settings.lake, n=6)
    rename(settings, SYSTEM, base="zero-shot-other")
    text = words(page_of(settings))
    assert "gIoU; its base zero-shot-other has not been evaluated here." in text
    assert "better than" not in text
    rename(settings, SYSTEM, base=None)
    assert "there is no untrained system of the same models to compare it with" in words(page_of(settings))


def rename(settings: Settings, name: str, base: str | None) -> None:
    """Give the trained system another name and another base in the summaries."""
    for table in (schema.BENCHMARK_METRICS, schema.PAIRED_DIFFERENCES):
        rows = store.read_partition(settings.lake, table, {}).to_pylist()
        for row in rows:
            if row["system"] == SYSTEM:
                row |= {"system": name} | ({"base": base} if "base" in row else {})
        store.write_partition(settings.lake, table, {}, pa.Table.from_pylist(rows, table.schema))


@pytest.mark.parametrize("table", [schema.IMAGES, schema.SAMPLES, schema.SAMPLE_SCORES])
def test_a_missing_table_costs_the_pictures_and_nothing_else(settings, table):
    report_lake.write(settings.lake, n=6)
    for part in store.list_partitions(settings.lake, table):
        partition_file(settings.lake, table, part).unlink()
    text = words(page_of(settings))
    assert "No pictures: the lake has no scores, samples or images of synthetic test to show." in text
    assert f"{SYSTEM} is better than {BASELINE}" in text


def test_missing_completions_cost_the_thoughts_only(settings):
    report_lake.write(settings.lake, n=6)
    for part in store.list_partitions(settings.lake, schema.COMPLETIONS):
        partition_file(settings.lake, schema.COMPLETIONS, part).unlink()
    page = page_of(settings)
    assert page.count("data:image/jpeg;base64") == 24
    assert "Tankers unload" not in page


def test_without_the_embedded_run_the_first_scored_one_is_compared(settings):
    report_lake.write(settings.lake, n=6)
    for table in (schema.BENCHMARK_METRICS, schema.PAIRED_DIFFERENCES):
        rows = store.read_partition(settings.lake, table, {}).to_pylist()
        rows = [row | {"system": row["system"].replace(SYSTEM, "another")} for row in rows]
        store.write_partition(settings.lake, table, {}, pa.Table.from_pylist(rows, table.schema))
    checkpoint = pa.Table.from_pylist([{"system": "another", "step": 60}], schema.CHECKPOINTS.schema)
    store.write_partition(settings.lake, schema.CHECKPOINTS, {"run": "another"}, checkpoint)
    assert f"another is better than {BASELINE}" in words(page_of(settings))


def test_undefined_metrics_are_dashes(settings):
    """The reference protocol's P@0.5 is undefined when nobody drew a mask; so are intervals of one image."""
    report_lake.write(settings.lake, n=6)
    rows = store.read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    undefined = dict.fromkeys(("p_at_50", "p_at_50_low", "p_at_50_high", "giou_low", "giou_high"))
    table = pa.Table.from_pylist([row | undefined for row in rows], schema.BENCHMARK_METRICS.schema)
    store.write_partition(settings.lake, schema.BENCHMARK_METRICS, {}, table)
    text = words(page_of(settings))
    assert "– –––" in text
    assert "There is no interval: too few images to resample." in text


def test_the_asked_for_dataset_heads_the_page(settings):
    report_lake.write(settings.lake, n=8)
    report_lake.write(settings.lake, n=6, dataset="my-scenes")
    first_heading = re.compile(r"<h2>(.*?)</h2>")
    assert first_heading.search(page_of(settings)).group(1) == "synthetic"
    assert first_heading.search(page_of(settings, dataset="my-scenes")).group(1) == "my-scenes"


def test_two_builds_differ_in_nothing_but_their_time(settings):
    report_lake.write(settings.lake, n=12)
    report_lake.write_training(settings.lake)
    first, second = (re.sub(r"Made on [\d: -]+UTC", "", page_of(settings)) for _ in range(2))
    assert first == second


def test_a_failed_build_leaves_the_old_page(settings):
    page = build_report(settings)
    before = page.read_bytes()
    report_lake.write(settings.lake, n=6)
    part = store.list_partitions(settings.lake, schema.SAMPLES)[0]
    Path(partition_file(settings.lake, schema.SAMPLES, part)).write_bytes(b"not parquet")
    with pytest.raises(T2SError, match="damaged"):
        build_report(settings)
    assert page.read_bytes() == before
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]
