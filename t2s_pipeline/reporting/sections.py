"""The part of the results page about one dataset, read from the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.evaluation.score import PROTOCOLS
from t2s_pipeline.lake import schema, store
from t2s_pipeline.reporting import charts, findings, showcase
from t2s_pipeline.reporting.examples import Example, examples
from t2s_pipeline.reporting.findings import Difference, Finding, Outcome
from t2s_pipeline.reporting.headline import PageSystems
from t2s_pipeline.reporting.rows import Row

SPLITS = ("test", "val", "train")
"""Splits in the order in which the finding and the pictures prefer them."""


@dataclass(frozen=True)
class Standings:
    """A split under a protocol: rows of ``benchmark_metrics``, the highest gIoU first."""

    split: str
    protocol: str
    rows: list[Row]
    differences: dict[str, Difference]
    """To the system's own base, in gIoU, by system."""


@dataclass(frozen=True)
class Tally:
    """The outcomes of a system's answers on the section's split, with the number of each."""

    system: str
    answers: int
    counts: list[tuple[Outcome, int]]


@dataclass(frozen=True)
class Section:
    """One dataset on the page. The finding, the chart and the pictures are about the standings ``main``."""

    dataset: str
    main: Standings
    standings: list[Standings]
    n: int
    finding: Finding
    chart: Markup | None
    tallies: list[Tally]
    examples: list[Example]
    rule: str
    missing: list[str]


Answers = Mapping[str, list[Row]]
"""System → its rows of ``sample_scores``."""


def section(
    lake: LakePlace,
    dataset: str,
    metrics: Sequence[Row],
    differences: Sequence[Difference],
    systems: PageSystems,
    count: int,
) -> Section:
    """The section of a dataset.

    Args:
        lake: where the tables are.
        dataset: key of the dataset.
        metrics: rows of ``benchmark_metrics``, at least one of them of this dataset.
        differences: of trained systems from their own bases, in gIoU, on any datasets.
        systems: the compared systems and the colours.
        count: the most pictured samples.
    """
    dataset_rows = [row for row in metrics if row["dataset"] == dataset]
    standings = _standings(dataset_rows, [d for d in differences if d.dataset == dataset], systems)
    main = standings[0]
    answers = _answers(lake, dataset, main, systems)
    missing = _missing(standings, main, systems)
    pictures, rule = _pictures(lake, dataset, main, answers, systems, count)
    if not rule:
        missing.append(f"No pictures: the lake has no scores, samples or images of {dataset} {main.split} to show.")
    return Section(
        dataset=dataset,
        main=main,
        standings=standings,
        n=max(row["n"] for row in main.rows),
        finding=_finding(main, systems),
        chart=_chart(dataset, main, systems),
        tallies=[Tally(name, len(rows), findings.tally(rows)) for name, rows in answers.items()],
        examples=pictures,
        rule=rule,
        missing=missing,
    )


def _standings(rows: Sequence[Row], differences: Sequence[Difference], systems: PageSystems) -> list[Standings]:
    """The main standings first: a split with the compared systems, test before val before train, strict first."""

    def order(key: tuple[str, str]) -> tuple[int, int, str, bool, str]:
        split, protocol = key
        scored = {r["system"] for r in rows if (r["split"], r["protocol"]) == key}
        compared = scored & {*systems.pair}
        place = SPLITS.index(split) if split in SPLITS else len(SPLITS)
        return -len(compared), place, split, protocol != "strict", protocol

    standings = []
    for split, protocol in sorted({(row["split"], row["protocol"]) for row in rows}, key=order):
        here = [row for row in rows if (row["split"], row["protocol"]) == (split, protocol)]
        best_first = sorted(here, key=lambda row: (-row["giou"], row["system"]))
        to_base = {d.system: d for d in differences if (d.split, d.protocol) == (split, protocol)}
        standings.append(Standings(split, protocol, best_first, to_base))
    return standings


def _answers(lake: LakePlace, dataset: str, main: Standings, systems: PageSystems) -> dict[str, list[Row]]:
    """The scored answers of each system. The untrained system comes first, as in the pictures: before, then after."""
    answers: dict[str, list[Row]] = {}
    scored = store.list_partitions(lake, schema.SAMPLE_SCORES)
    for row in sorted(main.rows, key=lambda row: (row["system"] != systems.baseline, systems.series[row["system"]])):
        partition = {"system": row["system"], "dataset": dataset, "split": main.split, "protocol": main.protocol}
        if partition in scored:
            answers[row["system"]] = store.read_partition(lake, schema.SAMPLE_SCORES, partition).to_pylist()
    return answers


def _pictures(
    lake: LakePlace, dataset: str, main: Standings, answers: Answers, systems: PageSystems, count: int
) -> tuple[list[Example], str]:
    """The pictured samples and the rule that chose them; no rule if the lake lacks what pictures need."""
    picks = _picks(answers, systems, count)
    partition = {"dataset": dataset, "split": main.split}
    if not picks or any(
        partition not in store.list_partitions(lake, table) for table in (schema.IMAGES, schema.SAMPLES)
    ):
        return [], ""
    chooser = _chooser(answers, systems)
    pictured = [name for name in systems.pair if name in answers] or [chooser]
    rule = showcase.rule(picks, chooser, systems.baseline)
    return examples(lake, dataset, main.split, picks, pictured), rule


def _chart(dataset: str, main: Standings, systems: PageSystems) -> Markup | None:
    """The chart of gIoU with intervals; None if no system has an interval."""
    estimates = [
        charts.PlottedEstimate(r["system"], r["giou"], r["giou_low"], r["giou_high"], systems.series[r["system"]])
        for r in main.rows
        if None not in (r["giou_low"], r["giou_high"])
    ]
    if not estimates:
        return None
    # Safe as markup: matplotlib escapes every text that it writes into the SVG.
    return Markup(charts.svg(charts.interval_chart(estimates, "gIoU, %"), f"giou-{dataset}"))


def _finding(main: Standings, systems: PageSystems) -> Finding:
    """The trained run against its own base; without the two, what there is."""
    if systems.system in main.differences:
        return findings.compare(main.differences[systems.system])
    rows = {row["system"]: row for row in main.rows}
    if systems.system not in rows:
        return findings.overview(main.rows, systems.system)
    if systems.baseline is None:
        why = "there is no untrained system of the same models to compare it with"
    elif systems.baseline in rows:
        why = "it has not been compared with its base"
    else:
        why = f"its base {systems.baseline} has not been evaluated here"
    return findings.alone(rows[systems.system], why)


def _missing(standings: Sequence[Standings], main: Standings, systems: PageSystems) -> list[str]:
    """What a reader expects among the standings and what is not there."""
    lines = []
    for name in reversed(systems.pair):
        if all(row["system"] != name for row in main.rows):
            lines.append(f"{name} has no scores on {main.split} under the {main.protocol} protocol.")
    splits = {item.split for item in standings}
    for split in sorted(splits):
        here = {item.protocol for item in standings if item.split == split}
        lines += [f"{split} has not been scored under the {name} protocol." for name in PROTOCOLS if name not in here]
    lines += [f"The {split} split has not been evaluated." for split in ("test", "val") if split not in splits]
    return lines


def _chooser(answers: Answers, systems: PageSystems) -> str:
    """The system whose answers decide which samples are shown."""
    return next(name for name in (*reversed(systems.pair), *answers) if name in answers)


def _picks(answers: Answers, systems: PageSystems, count: int) -> list[showcase.Pick]:
    if not answers:
        return []
    first = {name: {r["sample_id"]: r for r in rows if r["question_index"] == 0} for name, rows in answers.items()}
    chooser = first[_chooser(answers, systems)]
    candidates = [showcase.FirstAnswer(key, row["iou"], row["gt_empty"]) for key, row in chooser.items()]
    baseline = {key: row["iou"] for key, row in first.get(systems.baseline or "", {}).items()}
    return showcase.choose(candidates, baseline, count)
