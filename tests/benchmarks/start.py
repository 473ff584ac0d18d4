"""How much processor time a command takes to start: `t2s --help`, and `t2s sql` from its start to its last row.

    python -m tests.benchmarks.start [--tries 15]

The query reads a table of the lake of some rows. The plain way is a Python process that imports DuckDB and pyarrow and
reads the same file, without limits, without digests, and without a view. The commands take turns, and of each the
smallest processor time counts: other work on the machine only makes it larger.

The last line is one JSON object: ``help_seconds``, ``sql_seconds``, ``plain_seconds``, ``ratio`` (plain over sql),
``help_ratio`` (an import of typer over help), all in processor time with child processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import partition_file
from tests.faults.lakes import partition_of, write_every_table

TABLE = schema.REJECTS


def processor_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Processor time of a command and its child processes."""
    before = os.times()
    subprocess.run(command, env=environment, cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        write_every_table(lake)
        path = partition_file(lake, TABLE, partition_of(TABLE))
        plain = f"import duckdb, pyarrow.parquet; print(duckdb.sql(\"FROM read_parquet('{path}')\").to_arrow_table())"
        commands = {
            "help": [sys.executable, "-m", "t2s_pipeline.cli", "--help"],
            "typer": [sys.executable, "-c", "import typer"],
            "sql": [sys.executable, "-m", "t2s_pipeline.cli", "sql", f"FROM {TABLE.name}"],
            "plain": [sys.executable, "-c", plain],
        }
        environment = {**os.environ, "T2S_HOME": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        turns = [{name: processor_seconds(command, environment) for name, command in commands.items()}]
        turns += [
            {name: processor_seconds(commands[name], environment) for name in commands} for _ in range(options.tries)
        ]
    least = {name: min(turn[name] for turn in turns) for name in commands}
    result = {
        "help_seconds": round(least["help"], 2),
        "sql_seconds": round(least["sql"], 2),
        "plain_seconds": round(least["plain"], 2),
        "ratio": round(least["plain"] / least["sql"], 2),
        "help_ratio": round(least["typer"] / least["help"], 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
