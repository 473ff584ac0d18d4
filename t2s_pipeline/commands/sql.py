"""`t2s sql`: query the lake in SQL, once or at a prompt."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings

if TYPE_CHECKING:
    from t2s_pipeline.lake.views import Limits


def sql(
    query: Annotated[
        str | None,
        typer.Argument(
            metavar="[SELECT …]", help="One SELECT. Without it: a prompt in a terminal, else standard input."
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the SELECT from this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header. Lists and structs are JSON.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="OUT", help="Write a Parquet file instead of printing.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Rows to print in a table; JSON and CSV have all rows.")
    ] = 200,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Stop a query after this time.")] = 120.0,
    memory_mb: Annotated[int, typer.Option("--memory", min=64, metavar="MB", help="Memory limit of a query.")] = 2048,
) -> None:
    """Query the results in SQL.

    Every table and every file of sql/ is a view: `t2s tables` lists them. Only SELECT is allowed.

    t2s sql "from leaderboard"

    t2s sql "select * from failures limit 5" --json
    """
    from t2s_pipeline.commands import row_formats
    from t2s_pipeline.lake.views import Limits
    from t2s_pipeline.lake.views import query as run_query

    settings = Settings.from_env()
    limits = Limits(seconds, memory_mb)
    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise InputError("Give at most one of --json, --csv and --parquet.")
    text = _statement(query, file)
    if text is None:
        _prompt(settings, limit, limits)
        return
    rows = run_query(settings, text, limits)
    if parquet is not None:
        row_formats.write_parquet(rows, parquet)
        print(f"{len(rows):,} rows in {parquet}", file=sys.stderr)
    elif as_json:
        row_formats.write_json(rows, sys.stdout)
    elif as_csv:
        row_formats.write_csv(rows, sys.stdout)
    else:
        row_formats.print_table(rows, limit)


def _statement(query: str | None, file: Path | None) -> str | None:
    """The statement from the argument, the file or standard input; None if standard input is a terminal.

    Raises:
        InputError: if both the argument and the file are given, or the file cannot be read.
    """
    if query is not None and file is not None:
        raise InputError("Give a SELECT or --file, not both.")
    if file is not None:
        try:
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file} cannot be read as text: {error}") from error
    if query is not None:
        return query
    return None if sys.stdin.isatty() else sys.stdin.read()


def _prompt(settings: Settings, limit: int, limits: "Limits") -> None:
    """Read statements that end with a semicolon, until the end of input. An error does not end the session."""
    import readline  # noqa: F401  (arrow keys and history for input())

    from t2s_pipeline.commands.row_formats import print_table
    from t2s_pipeline.lake.views import query as run_query

    print("Type one SELECT at a time and end it with ; (show tables; lists the views, Ctrl-D ends the session).")
    lines: list[str] = []
    while True:
        try:
            lines.append(input("     …> " if lines else "t2s sql> "))
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            lines = []
            print()
            continue
        statement = "\n".join(lines).strip()
        if not statement.endswith(";"):
            lines = lines if statement else []
            continue
        lines = []
        try:
            print_table(run_query(settings, statement, limits), limit)
        except T2SError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
