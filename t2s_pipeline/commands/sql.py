"""`t2s sql`: query the lake in SQL, once or at a prompt."""

import sys
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

if TYPE_CHECKING:
    from t2s_pipeline.commands.sql_process import SqlRequest


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
    ] = 200,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="Stop a query after this time. It includes the start.")
    ] = 120.0,
    memory_mb: Annotated[
        int, typer.Option("--memory", min=192, metavar="MB", help="The most memory of the query's process.")
    ] = 2048,
) -> None:
    """Query the results in SQL.

    Every table and every file of sql/ is a view: `t2s tables` lists them. Only SELECT is allowed. Values are printed as
    DuckDB prints them. JSON and CSV are written in UTF-8.

    t2s sql "from leaderboard"

    t2s sql "select * from failures limit 5" --json
    """
    from t2s_pipeline.commands.sql_process import SqlRequest, run_query

    settings = Settings.from_env()
    if sum((as_json, as_csv, parquet is not None)) > 1:
        raise InputError("Give at most one of --json, --csv and --parquet.")
    if for_spreadsheet and not as_csv:
        raise InputError("--spreadsheet needs --csv.")
    text = _statement(query, file)
    csv = "spreadsheet" if for_spreadsheet else "csv"
    form = "json" if as_json else csv if as_csv else "parquet" if parquet is not None else "table"
    home, sql_dir, out = str(settings.home), str(settings.sql_dir), str(parquet or "")
    request = SqlRequest(home, sql_dir, text or "", form, limit, out, seconds, memory_mb)
    if text is None:
        _prompt(request)
    else:
        raise typer.Exit(run_query(request))


def _statement(query: str | None, file: Path | None) -> str | None:
    """The statement from the argument, the file or standard input; None if standard input is a terminal.

    Raises:
        InputError: if both the argument and the file are given, or the file cannot be read.
    """
    if query is not None and file is not None:
        raise InputError("Give a SELECT or --file, not both.")
    if file is not None:
        try:
            return _decoded(file.read_bytes(), str(file))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}.") from error
    if query is not None:
        return query
    if sys.stdin.isatty():
        return None
    if isinstance(sys.stdin, TextIOWrapper):
        return _decoded(sys.stdin.buffer.read(), "Standard input")
    return sys.stdin.read()


def _decoded(data: bytes, source: str) -> str:
    """The text of a statement; a byte order mark at its start is left out.

    Raises:
        InputError: if it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8.") from error


def _prompt(request: "SqlRequest") -> None:
    """Read statements that end with a semicolon, until the end of input. An error does not end the session."""
    import readline  # noqa: F401  (arrow keys and history for input())

    from t2s_pipeline.commands.sql_process import run_query

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
            run_query(replace(request, sql=statement))
        except T2SError as error:
            print(visible(str(error)), file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
