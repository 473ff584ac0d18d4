"""The results page: one HTML file that needs nothing beside it, for a researcher who gives it a minute.

It says what the lake holds and nothing else; what has not been run is named as not run. Questions and
model answers are hostile text: the template escapes everything, and the page forbids itself any script
and any outside resource.
"""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.table import Table
from t2s_pipeline.reporting import charts
from t2s_pipeline.reporting.findings import NOTHING, Difference, counted, percent, signed
from t2s_pipeline.reporting.labels import label_section
from t2s_pipeline.reporting.sections import PageSystems, section

TRAINED = "think2seg-mini"
EXAMPLES_IN_ALL = 24
"""Pictured samples, shared among the datasets, at most ten each: keeps the page below 5 MB."""


@dataclass(frozen=True)
class TrainingRun:
    """A training run in one line."""

    name: str
    steps: int
    first_reward: float
    last_reward: float
    window: int
    """Steps that the two rewards are means over."""
    minutes: float


def build_report(
    settings: Settings,
    dataset: str | None = None,
    system: str | None = None,
    baseline: str = "zero-shot-mini",
) -> Path:
    """Write ``T2S_HOME/report/index.html`` from the lake, in one step, and return its path.

    Args:
        dataset: whose finding heads the page; without it, the one with the most samples.
        system: the trained system; without it, the embedded one if it has scores, else the first that has.
        baseline: its untrained base. The two are shown side by side.

    Raises:
        T2SError: if the disk is full.
    """
    lake = settings.lake
    metrics = _rows(lake, schema.BENCHMARK_METRICS)
    differences = [
        Difference(**{name: row[name] for name in Difference.__dataclass_fields__})
        for row in _rows(lake, schema.PAIRED_DIFFERENCES)
        if (row["metric"], row["baseline"]) == ("giou", baseline)
        and None not in (row["difference"], row["low"], row["high"])
    ]
    logs = {
        part["run"]: store.read_partition(lake, schema.TRAINING_LOG, part).sort_by("step")
        for part in store.list_partitions(lake, schema.TRAINING_LOG)
    }
    logs = {run: log for run, log in logs.items() if len(log)}
    if system is None:
        scored = sorted({row["system"] for row in metrics} - {baseline})
        system = TRAINED if TRAINED in scored or not scored else scored[0]
    cast = PageSystems(system, baseline, _series(system, baseline, {row["system"] for row in metrics} | set(logs)))
    datasets = {row["dataset"] for row in metrics}
    each = max(3, min(10, EXAMPLES_IN_ALL // max(1, len(datasets))))
    sections = [section(lake, name, metrics, differences, cast, each) for name in datasets]
    sections.sort(key=lambda s: (s.dataset != dataset, -s.n, s.dataset))
    chart = Markup(charts.svg(charts.training_chart(logs, cast.series), "training")) if logs else None
    # A page's commands must find the tables that the page was made from.
    at_home = "" if settings.home == REPO / "data" else f"T2S_HOME={shlex.quote(str(settings.home))} "
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            finding=sections[0].finding if sections else NOTHING,
            sections=sections,
            cast=cast,
            labels=label_section(lake, dataset),
            training_chart=chart,
            runs=[_run(name, log) for name, log in logs.items()],
            colours=charts.SERIES,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            home=str(settings.home),
            at_home=at_home,
            t2s=f"{at_home}.venv/bin/t2s",
        )
    )
    target = settings.page
    with atomic_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("t2s_pipeline.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "counted": counted, "percent": percent}
    return environment


def _rows(lake: Path, table: Table) -> list[dict]:
    """Every row of an unpartitioned table; none if it has not been made."""
    if not store.list_partitions(lake, table):
        return []
    return store.read_partition(lake, table, {}).to_pylist()


def _series(system: str, baseline: str, names: set[str]) -> dict[str, int]:
    """A colour for everyone: the compared two always have the first two."""
    others = sorted(names - {system, baseline})
    return {name: index for index, name in enumerate([system, baseline, *others])}


def _run(name: str, log: pa.Table) -> TrainingRun:
    rewards = [value for value in log.column("reward").to_pylist() if value is not None]
    window = charts.smoothing(len(rewards))
    seconds = sum(value or 0.0 for value in log.column("seconds").to_pylist())
    first, last = rewards[:window], rewards[-window:]
    return TrainingRun(
        name,
        max(log.column("step").to_pylist()),
        sum(first) / len(first) if first else float("nan"),
        sum(last) / len(last) if last else float("nan"),
        window,
        seconds / 60,
    )
