"""`t2s sql`: query the lake in SQL, once or at a prompt."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.commands.sql_options import LIMIT, MEMORY_MB, SECONDS, SqlOptions, answer


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="[SELECT …]", help="One SELECT. Without it: a prompt in a terminal, else standard input."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the SELECT from this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header. NULL is an empty field.")] = False,
    for_spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet",
            help="With --csv: put ' before texts that a spreadsheet would compute (they begin with = + - @).",
        ),
    ] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="OUT", help="Write a Parquet file instead of printing.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Rows to print in a table; JSON and CSV have all rows.")
    ] = LIMIT,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Stop a query after this time. It includes the start.")
    ] = SECONDS,
    memory_mb: Annotated[
        int, typer.Option("--memory", min=192, metavar="MB", help="The most memory of the query's process.")
    ] = MEMORY_MB,
) -> None:
    """Query the results in SQL.

    Every table and every file of sql/ is a view: `t2s tables` lists them. Only SELECT is allowed. Values are printed as
    DuckDB prints them. JSON and CSV are written in UTF-8.

    t2s sql "from leaderboard"

    t2s sql "select * from failures limit 5" --json
    """
    options = SqlOptions(
        query, file, as_json, as_csv, for_spreadsheet, parquet, limit=limit, seconds=seconds, memory_mb=memory_mb
    )
    raise typer.Exit(answer(options))
