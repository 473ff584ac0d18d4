"""docs/miniature_tables.md: the tables in miniature, from the scores in the lake.

The scores of all seeds of a system count together: an answer of one of three seeds has a third of the weight. So the
interval of a difference covers the choice of the images, and the seeds are averaged before. Two systems are compared
on the seeds that both have.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.evaluation.metrics import Estimate, compare, summarize
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.schema import SAMPLE_SCORES, SAMPLES, STEP_TIMES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.miniature_tables import MINIATURE_TABLES, TEST, MiniatureTable, StudySystem
from t2s_pipeline.reporting.kept_studies import scores_of, subject_of

INTRODUCTION = """# The tables in miniature

The paper's tables with the embedded models and painted scenes, and the studies of [Beyond the paper](beyond.md).
`make tables` makes them; it goes on where it was stopped. gIoU in percent under the strict protocol on the test split,
over all seeds. The difference is that from the base of the comparison, over the seeds that both have, paired by image,
with a 95 % bootstrap interval. Where the interval holds 0, no difference is shown. `think2seg-mini` is plain
Think2Seg-RS. Seconds are those of all steps of a system, with all seeds. Published numbers are those of the paper's
full-size systems on real images: only their order can be compared.

`synthetic-studies` has the scenes of the embedded dataset, the same pixels, and further scenes without a target. So
they are 28 of 226 in val and 29 of 216 in test (embedded: 2 of 200 and 13 of 200). Numbers on `synthetic` stay as they
are. Those on `synthetic-studies` are higher for a system that rejects well, and lower for one that does not.
"""

HEAD = "| system | seeds | n | gIoU | difference | rejected | published | seconds | what follows |\n" + "|---" * 9 + "|"


@dataclass(frozen=True)
class _Scores:
    """The scores of a system on a test split, by seed. Without training there is one result, which has no seed."""

    by_seed: dict[int | None, pa.Table]

    @property
    def table(self) -> pa.Table:
        """Those of all seeds."""
        return pa.concat_tables(self.by_seed.values())

    def of(self, seeds: Container[int | None]) -> pa.Table | None:
        """Those of these seeds; None if there is none."""
        tables = [table for seed, table in self.by_seed.items() if seed is None or seed in seeds]
        return pa.concat_tables(tables) if tables else None


def _paired(ours: _Scores, base: _Scores) -> tuple[pa.Table, pa.Table] | None:
    """The scores of two systems for the seeds that both have; all of them if one of the systems has no seeds."""
    if None in ours.by_seed or None in base.by_seed:
        return ours.table, base.table
    first, second = ours.of(base.by_seed), base.of(ours.by_seed)
    return None if first is None or second is None else (first, second)


def miniature_tables(lakes: Sequence[LakePlace], seeds: Iterable[int], names: Iterable[str] = MINIATURE_TABLES) -> str:
    """The page, as Markdown. A table without any result says so.

    Args:
        lakes: where the tables are. A result is read from the first that has it.
        seeds: the seeds that count.
        names: the tables, by their short names.
    """
    seeds = list(seeds)
    seconds = _seconds(lakes)
    parts = [INTRODUCTION]
    for name in names:
        parts.append(_table(lakes, MINIATURE_TABLES[name], seeds, seconds))
    return "\n".join(parts)


def _table(lakes: Sequence[LakePlace], table: MiniatureTable, seeds: list[int], seconds: dict[str, float]) -> str:
    scores = {system.name: _scores(lakes, system, table.dataset, seeds) for system in table.systems}
    lines = [f"## {table.title}\n", f"{table.claim} On `{table.dataset}`.\n"]
    if not any(scores.values()):
        return "\n".join([*lines, "Not run yet.\n"])
    lines.append(HEAD)
    published = _published(table.published_dataset)
    for system in table.systems:
        lines.append(_row(system, table.base, scores, published, seconds, seeds))
    lines += ["", _order(table, scores), ""]
    lines += _by_morphology(lakes, table, scores)
    return "\n".join(lines)


def _row(
    system: StudySystem,
    base_name: str,
    scores: dict[str, _Scores | None],
    published: dict[str, float],
    seconds: dict[str, float],
    seeds: list[int],
) -> str:
    ours, base = scores[system.name], scores.get(base_name)
    paper = f"{published[system.published]:.2f}" if system.published in published else ""
    if ours is None:
        return f"| `{system.name}` | | | | | | {paper} | | not run yet |"
    summary = summarize(ours.table)
    rejections = summary.rejection_true + summary.rejection_false
    difference, sentence = "", "the base of the comparison" if system.name == base_name else ""
    if system.name != base_name and base is not None:
        estimate = _difference(ours, base)
        if estimate is not None:
            difference, sentence = _shown(estimate, sign=True), _conclusion(estimate, base_name)
    took = sum(seconds.get(system.seeded(seed), 0.0) for seed in seeds)
    cells = (
        f"`{system.name}`",
        len(ours.by_seed),
        summary.n,
        _shown(summary.giou),
        difference,
        f"{summary.rejection_true} of {rejections}" if rejections else "",
        paper,
        f"{took:,.0f}" if took else "",
        sentence,
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def _difference(ours: _Scores, base: _Scores, ids: pa.ChunkedArray | None = None) -> Estimate | None:
    """The difference of gIoU, on these samples only if they are given; None if there is nothing to compare."""
    pair = _paired(ours, base)
    if pair is None:
        return None
    if ids is not None:
        first, second = (scores.filter(pc.is_in(scores["sample_id"], ids.combine_chunks())) for scores in pair)
        pair = first, second
    try:
        return compare(*pair)[1]["giou"]
    except InputError:  # no such sample
        return None


def _conclusion(estimate: Estimate, base: str) -> str:
    if estimate.low > 0:
        return f"better than `{base}`"
    if estimate.high < 0:
        return f"worse than `{base}`"
    return "no difference is shown"


def _shown(estimate: Estimate, sign: bool = False) -> str:
    form = "+.2f" if sign else ".2f"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _order(table: MiniatureTable, scores: dict[str, _Scores | None]) -> str:
    """Whether the order that the claim fixes is found."""
    if not table.order:
        return ""
    first, second = (scores.get(name) for name in table.order[:2])
    names = f"`{table.order[0]}` before `{table.order[1]}`"
    estimate = None if first is None or second is None else _difference(first, second)
    if estimate is None:
        return f"The claim ({names}) is not tested yet."
    if estimate.low > 0:
        verdict = "holds here"
    elif estimate.high < 0:
        verdict = "does not hold here: the order is reversed"
    else:
        verdict = "is neither confirmed nor refuted here"
    return f"The claim ({names}) {verdict}: {_shown(estimate, sign=True)} points."


def _by_morphology(lakes: Sequence[LakePlace], table: MiniatureTable, scores: dict[str, _Scores | None]) -> list[str]:
    """The differences on the samples of some shapes."""
    base = scores.get(table.base)
    if not table.morphologies or base is None:
        return []
    # Results that were kept have no samples. `t2s studies paint` makes them.
    rows = _first(lakes, SAMPLES, {"dataset": table.dataset, "split": TEST}, ["sample_id", "morphology"])
    if rows is None:
        return []
    shapes = pc.fill_null(rows["morphology"], "(empty)")
    ids = {shape: rows.filter(pc.equal(shapes, shape))["sample_id"] for shape in table.morphologies}
    counts = ", ".join(f"{shape}: n = {len(ids[shape])}" for shape in table.morphologies)
    lines = [f"Difference of gIoU by the shape of the target ({counts}).\n"]
    lines.append("| system | " + " | ".join(table.morphologies) + " |\n" + "|---" * (1 + len(table.morphologies)) + "|")
    for system in table.systems:
        ours = scores[system.name]
        if ours is None or system.name == table.base:
            continue
        estimates = [_difference(ours, base, ids[shape]) for shape in table.morphologies]
        cells = ["" if estimate is None else _shown(estimate, sign=True) for estimate in estimates]
        lines.append(f"| `{system.name}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _scores(lakes: Sequence[LakePlace], system: StudySystem, dataset: str, seeds: list[int]) -> _Scores | None:
    """The strict scores of all seeds that are there."""
    partitions = {system.seed_of(seed): scores_of(system, dataset, seed) for seed in seeds}
    there = {seed: _first(lakes, SAMPLE_SCORES, partition) for seed, partition in partitions.items()}
    by_seed = {seed: table for seed, table in there.items() if table is not None}
    return _Scores(by_seed) if by_seed else None


def _first(
    lakes: Sequence[LakePlace], table: Table, partition: Partition, columns: list[str] | None = None
) -> pa.Table | None:
    """A partition from the first lake that has it."""
    for lake in lakes:
        try:
            return read_partition(lake, table, partition, columns)
        except NotMaterializedError:
            continue
    return None


def _published(dataset: str) -> dict[str, float]:
    """Our name of a system → its published gIoU on test, percent."""
    rows = published_metrics().to_pylist()
    return {
        row["measured_as"]: row["value"]
        for row in rows
        if row["dataset"] == dataset
        and (row["split"], row["metric"], row["edition"]) == (TEST, "giou", "preprint")
        and row["measured_as"] is not None
        and row["value"] is not None
    }


def _seconds(lakes: Sequence[LakePlace]) -> dict[str, float]:
    """System or run → the seconds of its steps, as far as they are recorded, in the first lake that knows it."""
    known: dict[str, float] = {}
    for lake in lakes:
        totals: dict[str, float] = {}
        for partition in list_partitions(lake, STEP_TIMES):
            for row in read_partition(lake, STEP_TIMES, partition, ["subject", "seconds"]).to_pylist():
                name = subject_of(row["subject"])
                totals[name] = totals.get(name, 0.0) + (row["seconds"] or 0.0)
        known = totals | known
    return known
