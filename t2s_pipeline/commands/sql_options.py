"""The options of `t2s sql` and what it does with them. The most usual ones are read here, without typer.

Typer reads the options of all other commands. It imports pydantic for that, which takes longer than most queries.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from t2s_pipeline.commands.sql_process import SqlRequest, run_query
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

LIMIT, SECONDS, MEMORY_MB = 200, 120.0, 2048
"""The defaults of --limit, --seconds and --memory."""


@dataclass(frozen=True)
class SqlOptions:
    """The options of `t2s sql`, as its help describes them."""

    query: str | None
    file: Path | None = None
    as_json: bool = False
    as_csv: bool = False
    for_spreadsheet: bool = False
    parquet: Path | None = None
    limit: int = LIMIT
    seconds: float = SECONDS
    memory_mb: int = MEMORY_MB


def usual_options(words: Sequence[str]) -> SqlOptions | None:
    """The options if the words are one SELECT and perhaps --json or --csv; None if typer has to read them."""
    flags = [word for word in words if word.startswith("-")]
    queries = [word for word in words if not word.startswith("-")]
    if len(queries) != 1 or not set(flags) <= {"--json", "--csv"}:
        return None
    return SqlOptions(queries[0], as_json="--json" in flags, as_csv="--csv" in flags)


def answer(options: SqlOptions) -> int:
    """Ask the SELECT, or those that are typed at a prompt; return the exit code.

    Raises:
        InputError: if two options exclude each other, the statement cannot be read, or as ``run_query``.
    """
    settings = Settings.from_env()
    if sum((options.as_json, options.as_csv, options.parquet is not None)) > 1:
        raise InputError("Give at most one of --json, --csv and --parquet.")
    if options.for_spreadsheet and not options.as_csv:
        raise InputError("--spreadsheet needs --csv.")
    text = _statement(options.query, options.file)
    csv = "spreadsheet" if options.for_spreadsheet else "csv"
    form = "json" if options.as_json else csv if options.as_csv else "parquet" if options.parquet else "table"
    request = SqlRequest(
        home=str(settings.home),
        sql_dir=str(settings.sql_dir),
        sql=text or "",
        form=form,
        rows=options.limit,
        out=str(options.parquet or ""),
        seconds=options.seconds,
        memory_mb=options.memory_mb,
        lake_address=settings.lake_address,
    )
    if text is not None:
        return run_query(request)
    _prompt(request)
    return 0


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


def _prompt(request: SqlRequest) -> None:
    """Read statements that end with a semicolon, until the end of input. An error does not end the session."""
    import readline  # noqa: F401  (arrow keys and history for input())

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
