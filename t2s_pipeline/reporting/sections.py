"""One dataset's part of the results page, gathered from the lake."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from t2s_pipeline.evaluation.score import PROTOCOLS
from t2s_pipeline.lake import schema, store
from t2s_pipeline.reporting import charts, findings, showcase
from t2s_pipeline.reporting.examples import Example, examples
from t2s_pipeline.reporting.findings import Difference, Finding, Outcome

SPLITS = ("test", "val", "train")
"""In the order in which a split is preferred for the finding and the pictures."""


@dataclass(frozen=True)
class PageSystems:
    """Who is on the page: the trained ``system``, its untrained ``baseline``, and everyone's colour."""

    system: str
    baseline: str
    series: dict[str, int]


@dataclass(frozen=True)
class Standings:
    """A split under a protocol: rows of ``benchmark_metrics``, best gIoU first."""

    split: str
    protocol: str
    rows: list[dict]
    differences: dict[str, Difference]
    """To the baseline, in gIoU, by system."""


@dataclass(frozen=True)
class Tally:
    """How a system's answers on the section's split ended, and what went wrong most often."""

    system: str
    answers: int
    counts: list[tuple[Outcome, int]]


@dataclass(frozen=True)
class Section:
    """``lead`` is the board that the finding, the chart and the pictures are about."""

    dataset: str
    lead: Standings
    boards: list[Standings]
    n: int
    finding: Finding
    chart: Markup | None
    tallies: list[Tally]
    examples: list[Example]
    rule: str
    missing: list[str]


def section(
    lake: Path, dataset: str, metrics: Sequence[dict], differences: Sequence[Difference], cast: PageSystems, count: int
) -> Section:
    """The dataset's section, with at most ``count`` pictured samples.

    Args:
        metrics: rows of ``benchmark_metrics``, at least one of them of this dataset.
        differences: of any datasets, in gIoU.
    """
    mine = [row for row in metrics if row["dataset"] == dataset]
    boards = _boards(mine, [d for d in differences if d.dataset == dataset], cast)
    lead = boards[0]
    part = {"dataset": dataset, "split": lead.split}
    answers = {}
    # The base first, as in the pictures: before, then after.
    for row in sorted(lead.rows, key=lambda row: (row["system"] != cast.baseline, cast.series[row["system"]])):
        home = {"system": row["system"], **part, "protocol": lead.protocol}
        if home in store.list_partitions(lake, schema.SAMPLE_SCORES):
            answers[row["system"]] = store.read_partition(lake, schema.SAMPLE_SCORES, home).to_pylist()
    missing = _missing(boards, lead, cast)
    picks, rule, shown = _picks(answers, cast, count), "", []
    if picks and all(part in store.list_partitions(lake, table) for table in (schema.IMAGES, schema.SAMPLES)):
        rule = showcase.rule(picks, _chooser(answers, cast), cast.baseline)
        pictured = [name for name in (cast.baseline, cast.system) if name in answers] or [_chooser(answers, cast)]
        shown = examples(lake, dataset, lead.split, picks, pictured)
    else:
        missing.append(f"No pictures: the lake has no scores, samples or images of {dataset} {lead.split} to draw.")
    estimates = [
        charts.PlottedEstimate(r["system"], r["giou"], r["giou_low"], r["giou_high"], cast.series[r["system"]])
        for r in lead.rows
        if None not in (r["giou_low"], r["giou_high"])
    ]
    return Section(
        dataset=dataset,
        lead=lead,
        boards=boards,
        n=max(row["n"] for row in lead.rows),
        finding=_finding(lead, cast),
        chart=Markup(charts.svg(charts.interval_chart(estimates, "gIoU, %"), f"giou-{dataset}")) if estimates else None,
        tallies=[Tally(name, len(rows), findings.tally(rows)) for name, rows in answers.items()],
        examples=shown,
        rule=rule,
        missing=missing,
    )


def _boards(rows: Sequence[dict], differences: Sequence[Difference], cast: PageSystems) -> list[Standings]:
    """The lead first: a split where the compared systems are, test before val before train, strict first."""

    def order(key: tuple[str, str]) -> tuple:
        split, protocol = key
        compared = {r["system"] for r in rows if (r["split"], r["protocol"]) == key} & {cast.system, cast.baseline}
        place = SPLITS.index(split) if split in SPLITS else len(SPLITS)
        return -len(compared), place, split, protocol != "strict", protocol

    made = []
    for split, protocol in sorted({(row["split"], row["protocol"]) for row in rows}, key=order):
        its = [row for row in rows if (row["split"], row["protocol"]) == (split, protocol)]
        near = [d for d in differences if (d.split, d.protocol, d.baseline) == (split, protocol, cast.baseline)]
        best_first = sorted(its, key=lambda row: (-row["giou"], row["system"]))
        made.append(Standings(split, protocol, best_first, {d.system: d for d in near}))
    return made


def _finding(lead: Standings, cast: PageSystems) -> Finding:
    if cast.system in lead.differences:
        return findings.compare(lead.differences[cast.system])
    rows = {row["system"]: row for row in lead.rows}
    name = next((n for n in (cast.system, cast.baseline) if n in rows), lead.rows[0]["system"])
    other = cast.baseline if name == cast.system else cast.system
    return findings.alone(rows[name], other, other in rows)


def _missing(boards: Sequence[Standings], lead: Standings, cast: PageSystems) -> list[str]:
    """What a reader would look for among the boards and not find."""
    lines = []
    for name in (cast.system, cast.baseline):
        if all(row["system"] != name for row in lead.rows):
            lines.append(f"{name} has no scores on {lead.split} under the {lead.protocol} protocol.")
    for split in sorted({board.split for board in boards}):
        here = {board.protocol for board in boards if board.split == split}
        lines += [f"{split} has not been scored under the {name} protocol." for name in PROTOCOLS if name not in here]
    splits = {board.split for board in boards}
    lines += [f"The {split} split has not been evaluated." for split in ("test", "val") if split not in splits]
    return lines


def _chooser(answers: dict[str, list[dict]], cast: PageSystems) -> str:
    """The system whose answers decide which samples are shown."""
    return next(name for name in (cast.system, cast.baseline, *answers) if name in answers)


def _picks(answers: dict[str, list[dict]], cast: PageSystems, count: int) -> list[showcase.Pick]:
    if not answers:
        return []
    first = {name: {r["sample_id"]: r for r in rows if r["question_index"] == 0} for name, rows in answers.items()}
    scores = [
        showcase.FirstAnswer(key, row["iou"], row["gt_empty"]) for key, row in first[_chooser(answers, cast)].items()
    ]
    base = {key: row["iou"] for key, row in first.get(cast.baseline, {}).items()}
    return showcase.choose(scores, base, count)
