"""The long part: `make faults`. It prints the counts and writes them to docs/reliability.md.

usage: python -m tests.faults [--flips N] [--snapshots N] [--kills N] [--evaluations N] [--runs N]
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from t2s_pipeline.core.settings import REPO, Settings
from tests.faults.bombs import LARGE, SLOW, Explosion, explode
from tests.faults.flips import PYTHON, SQL, flips
from tests.faults.lakes import write_every_table
from tests.faults.mixtures import mixtures
from tests.faults.random_kills import random_kills, summary
from tests.faults.soak import evaluations, row, runs

PAGE = REPO / "docs" / "reliability.md"
BEGIN, END = "<!-- counts -->", "<!-- end of counts -->"
SECONDS, MEMORY_MB = 10.0, 512
ALLOWED = 1.2


def flip_rows(home: Path, count: int) -> list[str]:
    """Flip bits, and read in Python and in SQL."""
    write_every_table(home / "lake")
    settings = Settings(home, home / "python", REPO / "sql")
    rows = []
    for name, reads, number in (("Python, three ways", PYTHON, count), ("SQL", SQL, max(1, count // 5))):
        outcomes = flips(settings, number, reads, seed=number)
        rows.append(
            f"| flipped bits over every table, read in {name} | {number:,} | rows wrong in silence: "
            f"{outcomes['wrong']:,}; file named: {outcomes['named']:,}; rows right: {outcomes['right']:,} |"
        )
    return rows


def mixture_row(home: Path, count: int) -> str:
    """Take snapshots by eight readers beside two writers."""
    outcomes = mixtures(home, count, readers=8)
    return (
        f"| snapshots by 8 readers beside 2 writers | {outcomes['snapshots']:,} | mixtures: {outcomes['mixtures']:,}; "
        f"different versions seen by one reader: {outcomes['versions']:,} |"
    )


def bomb_row(home: Path) -> str:
    """Run every bomb."""
    ends: list[Explosion] = []
    for number, sql in enumerate((*SLOW, *LARGE), start=1):
        ends.append(explode(sql, home, SECONDS, MEMORY_MB))
        print(f"{number:2} {ends[-1].seconds:5.1f} s {ends[-1].peak_mb:5.0f} MB  {sql[:60]}  {ends[-1].sentence[:60]}")
    late = sum(end.seconds > ALLOWED * SECONDS for end in ends)
    large = sum(end.peak_mb > ALLOWED * MEMORY_MB for end in ends)
    faults = sum(end.returncode != 1 or "Traceback" in end.sentence for end in ends)
    slowest, largest = max(end.seconds for end in ends), max(end.peak_mb for end in ends)
    return (
        f"| `t2s sql` bombs with {SECONDS:g} s and {MEMORY_MB} MB | {len(ends)} | over {ALLOWED} × the time: {late}; "
        f"over {ALLOWED} × the memory: {large}; without a sentence: {faults}; "
        f"slowest {slowest:.1f} s, largest {largest:.0f} MB |"
    )


def soak_row(home: Path, count: int) -> str:
    """Evaluate again and again with one worker."""
    return row("evaluations with one worker, one after the other", evaluations(home, count), 0)


def page_row(home: Path, count: int) -> str:
    """Launch evaluations in the web UI again and again."""
    rounds, failed = runs(home, count)
    return row("evaluations launched in the web UI, one after the other", rounds, failed)


def write_counts(rows: list[str]) -> None:
    """Put the table between the marks of the page."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(["| fault | trials | outcome |", "|---|---|---|", *rows])
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    PAGE.write_text(f"{before}{BEGIN}\n\nMeasured on {day}.\n\n{table}\n\n{END}{after}", "utf-8")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--snapshots", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--evaluations", type=int, default=300)
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: Path(folder) / name for name in ("flips", "mixtures", "bombs", "kills", "evaluations", "runs")}
        rows: list[str] = []
        for part in (
            lambda: flip_rows(homes["flips"], arguments.flips),
            lambda: [mixture_row(homes["mixtures"], arguments.snapshots)],
            lambda: [bomb_row(homes["bombs"])],
            lambda: [summary(random_kills(homes["kills"], arguments.kills))],
            lambda: [soak_row(homes["evaluations"], arguments.evaluations)],
            lambda: [page_row(homes["runs"], arguments.runs)],
        ):
            rows += part()
            print(rows[-1], flush=True)
    write_counts(rows)


if __name__ == "__main__":
    main()
