"""The results page: one HTML file without further files, for a researcher who looks at it for a minute.

The page shows what the lake holds and nothing else. It names what has not been run. Questions and model answers can
hold hostile text: the template escapes all of it, and the page forbids every script and every outside resource.
"""

import shlex
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import schema, store
from t2s_pipeline.reporting import charts
from t2s_pipeline.reporting.findings import NOTHING, Difference, counted, percent, signed
from t2s_pipeline.reporting.headline import PageSystems, comparisons, page_systems
from t2s_pipeline.reporting.labels import label_section
from t2s_pipeline.reporting.rows import Row, all_rows
from t2s_pipeline.reporting.sections import Section, section

EXAMPLES_IN_ALL = 24
"""Pictured samples on the page. They are divided among the datasets, at most ten each; the page stays below 5 MB."""


@dataclass(frozen=True)
class TrainingRun:
    """A training run in one line."""

    name: str
    steps: int
    first_reward: float
    last_reward: float
    window: int
    """The number of steps over which the two rewards are means."""
    minutes: float


def build_report(
    settings: Settings,
    dataset: str | None = None,
    system: str | None = None,
) -> Path:
    """Write ``T2S_HOME/report/index.html`` from the lake, as a whole, and return its path.

    Args:
        settings: where the lake and the page are.
        dataset: the dataset whose finding is at the top of the page. By default the one with the most samples.
        system: the trained system that the page compares with its own untrained base. By default the embedded one if
            it has scores, else the first run that has scores, and the difference from its base if there is one.

    Raises:
        T2SError: if the disk is full.
    """
    lake = settings.lake
    metrics = all_rows(lake, schema.BENCHMARK_METRICS)
    logs = _training_logs(lake)
    differences = _differences(lake)
    systems = page_systems(metrics, differences, _trained(lake), set(logs), system)
    sections = _sections(lake, metrics, comparisons(differences, systems.bases), dataset, systems)
    chart = Markup(charts.svg(charts.training_chart(logs, systems.series), "training")) if logs else None
    # The commands on the page must read the tables that the page was made from.
    at_home = "" if settings.home == REPO / "data" else f"T2S_HOME={shlex.quote(str(settings.home))} "
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            finding=sections[0].finding if sections else NOTHING,
            sections=sections,
            systems=systems,
            labels=label_section(lake, dataset),
            training_chart=chart,
            runs=[_training_run(name, log) for name, log in logs.items()],
            colours=charts.SERIES,
            time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            home=str(settings.home),
            at_home=at_home,
            t2s=f"{at_home}.venv/bin/t2s",
        )
    )
    with atomic_file(settings.page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return settings.page


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


def _training_logs(lake: LakePlace) -> dict[str, pa.Table]:
    """Run → its rows of ``training_log`` by step; runs without a step are left out."""
    logs = {
        partition["run"]: store.read_partition(lake, schema.TRAINING_LOG, partition).sort_by("step")
        for partition in store.list_partitions(lake, schema.TRAINING_LOG)
    }
    return {run: log for run, log in logs.items() if len(log)}


def _sections(
    lake: LakePlace, metrics: list[Row], differences: list[Difference], dataset: str | None, systems: PageSystems
) -> list[Section]:
    """One section per dataset with scores: first ``dataset``, then those with more samples."""
    datasets = {row["dataset"] for row in metrics}
    count = max(3, min(10, EXAMPLES_IN_ALL // max(1, len(datasets))))
    sections = [section(lake, name, metrics, differences, systems, count) for name in datasets]
    return sorted(sections, key=lambda s: (s.dataset != dataset, -s.n, s.dataset))


def _differences(lake: LakePlace) -> list[Difference]:
    """The differences of gIoU that are defined."""
    names = [field.name for field in fields(Difference)]
    return [
        Difference(**{name: row[name] for name in names})
        for row in all_rows(lake, schema.PAIRED_DIFFERENCES)
        if row["metric"] == "giou" and None not in (row["difference"], row["low"], row["high"])
    ]


def _trained(lake: LakePlace) -> set[str]:
    """The systems that are checkpoints of a run."""
    return {
        name
        for partition in store.list_partitions(lake, schema.CHECKPOINTS)
        for name in store.read_partition(lake, schema.CHECKPOINTS, partition, ["system"])["system"].to_pylist()
    }


def _training_run(name: str, log: pa.Table) -> TrainingRun:
    rewards = [value for value in log.column("reward").to_pylist() if value is not None]
    window = charts.smoothing(len(rewards))
    seconds = sum(value or 0.0 for value in log.column("seconds").to_pylist())
    first, last = rewards[:window], rewards[-window:]
    return TrainingRun(
        name=name,
        steps=max(log.column("step").to_pylist()),
        first_reward=sum(first) / len(first) if first else float("nan"),
        last_reward=sum(last) / len(last) if last else float("nan"),
        window=window,
        minutes=seconds / 60,
    )
