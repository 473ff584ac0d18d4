"""`t2s sql`: ask the lake a question, or many."""

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
        str | None, typer.Argument(metavar="[SELECT …]", help="One SELECT. Left out: a prompt, or standard input.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read the SELECT from this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header; lists and structs as JSON.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="OUT", help="Write a Parquet file instead of printing.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to print, unless JSON or CSV.")] = 200,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Stop a query after so long.")] = 120.0,
    memory_mb: Annotated[int, typer.Option("--memory", min=64, metavar="MB", help="Memory of a query.")] = 2048,
) -> None:
    """Ask the results a question in SQL.

    Every table and every file of sql/ is a view: `t2s tables` lists them. Only SELECT is possible.

    t2s sql "from leaderboard"

    t2s sql "select * from failures limit 5" --json
    """
    from t2s_pipeline.commands import row_formats
    from t2s_pipeline.lake.views import Limits
    from t2s_pipeline.lake.views import query as ask

    settings = Settings.from_env()
    limits = Limits(seconds, memory_mb)
    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise InputError("Give at most one of --json, --csv and --parquet.")
    text = _given(query, file)
    if text is None:
        _prompt(settings, limit, limits)
        return
    rows = ask(settings, text, limits)
    if parquet is not None:
        row_formats.write_parquet(rows, parquet)
        print(f"{len(rows):,} rows in {parquet}", file=sys.stderr)
    elif as_json:
        row_formats.write_json(rows, sys.stdout)
    elif as_csv:
        row_formats.write_csv(rows, sys.stdout)
    else:
        row_formats.print_table(rows, limit)


def _given(query: str | None, file: Path | None) -> str | None:
    """The statement from the argument, the file or standard input; None where a person sits at a terminal.

    Raises:
        InputError: if there are two of them, or the file cannot be read.
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
    """Read statements, each ended by a semicolon, until end of input; a mistake does not end the session."""
    import readline  # noqa: F401  (arrow keys and history for input())

    from t2s_pipeline.commands.row_formats import print_table
    from t2s_pipeline.lake.views import query as ask

    print("One SELECT at a time, ended by ; (show tables; lists the views, Ctrl-D leaves).")
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
            print_table(ask(settings, statement, limits), limit)
        except T2SError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
