"""The long part: `make faults`. It prints the counts and writes them to docs/reliability.md.

usage: python -m tests.faults [--only PART] [--PART N], for the PARTs below
"""

import argparse
import tempfile
from collections.abc import Callable
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
HEADING = ("| fault | trials | outcome | date |", "|---|---|---|---|")
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


def bomb_row(home: Path, count: int) -> str:
    """Run the first ``count`` bombs."""
    ends: list[Explosion] = []
    for number, sql in enumerate((*SLOW, *LARGE)[:count], start=1):
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
    """Put rows into the table between the marks of the page, in the place of those for the same fault."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    counts = {_fault(line): line for line in table.splitlines() if line.startswith("| ") and line not in HEADING}
    counts |= {_fault(row): f"{row} {datetime.now(UTC):%Y-%m-%d} |" for row in rows}
    lines = "\n".join([*HEADING, *counts.values()])
    PAGE.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}", "utf-8")


def _fault(row: str) -> str:
    return row.split("|")[1].strip()


PARTS: dict[str, tuple[int, Callable[[Path, int], list[str]]]] = {
    "flips": (2000, flip_rows),
    "snapshots": (10_000, lambda home, count: [mixture_row(home, count)]),
    "bombs": (len(SLOW) + len(LARGE), lambda home, count: [bomb_row(home, count)]),
    "kills": (200, lambda home, count: [summary(random_kills(home, count))]),
    "evaluations": (300, lambda home, count: [soak_row(home, count)]),
    "runs": (50, lambda home, count: [page_row(home, count)]),
}
"""Name → how many trials there are by default, and what tries."""


def main() -> None:
    """Run all of it, or the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, (count, _) in PARTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; can be repeated")
    arguments = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments["only"] or PARTS:
            rows = PARTS[name][1](Path(folder) / name, arguments[name])
            print(*rows, sep="\n", flush=True)
            write_counts(rows)


if __name__ == "__main__":
    main()
