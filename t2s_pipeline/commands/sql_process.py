"""A SELECT in a process of its own, which ends at its limits whatever it computes.

DuckDB looks at its limits between pieces of work. A constant expression or one long list is a single piece. So the
operating system keeps the limits: it gives the process no more memory, and ends it when its time is over. The process
writes the rows to its standard output while DuckDB computes them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path

from t2s_pipeline.commands.forked_process import ForkedProcess, can_fork
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.parent_death import signal_when_parent_ends
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

GRACE = 1.05
"""The process is killed after this multiple of its time, if DuckDB has not stopped it before."""


@dataclass(frozen=True)
class SqlRequest:
    """A SELECT, where it runs, its limits, and what is printed.

    Attributes:
        home: T2S_HOME.
        sql_dir: the folder of the questions.
        sql: the SELECT.
        form: ``table``, ``json``, ``csv``, ``spreadsheet`` (CSV in which no text is a formula) or ``parquet``.
        rows: the most rows of a printed table.
        out: the Parquet file to write.
        seconds: the time limit of the process, from its start.
        memory_mb: the memory limit of the process.
        since: when it was started (``time.monotonic``).
        lake_address: T2S_LAKE.
    """

    home: str
    sql_dir: str
    sql: str
    form: str
    rows: int
    out: str
    seconds: float
    memory_mb: int
    since: float = 0.0
    lake_address: str = ""


def run_query(request: SqlRequest) -> int:
    """Run the SELECT in a new process, which prints its rows, and return its exit code: 0, 130, or 1 without a reader.

    Raises:
        InputError: if DuckDB finds an error in the SELECT, a partition is damaged or of another release, or the query
            needs more time or memory than it may use.
    """
    since = time.monotonic()
    process = _start(replace(request, since=since))
    try:
        words = process.communicate(max(0.0, since + GRACE * request.seconds - time.monotonic()))
        is_late = False
    except subprocess.TimeoutExpired:
        process.kill()
        words = process.communicate()
        is_late = True
    except KeyboardInterrupt:
        process.wait()  # the terminal has interrupted it too
        raise
    code = process.wait()
    if code < 0 and code != -signal.SIGINT:
        _clean_up(request)
        from t2s_pipeline.lake.views import Limits, too_much_memory, too_much_time

        limits = Limits(request.seconds, request.memory_mb)
        is_late = is_late or code == -signal.SIGALRM
        raise InputError(too_much_time(limits) if is_late else too_much_memory(limits))
    *notices, sentence = words.decode("utf-8", "backslashreplace").splitlines() or [""]
    if code != 1 or not sentence:
        notices.append(sentence)
    for notice in filter(None, notices):
        print(visible(notice), file=sys.stderr)
    if code == 1 and sentence:
        raise InputError(sentence)
    return code


def _start(request: SqlRequest) -> "ForkedProcess | _NewProcess":
    """Start the process: a copy of this one, where that is safe and standard output is a file."""
    try:
        sys.stdout.fileno()
    except (UnsupportedOperation, AttributeError):
        return _NewProcess(request, subprocess.PIPE)  # standard output is no file, as in a test
    sys.stdout.flush()
    return ForkedProcess(partial(serve, request)) if can_fork() else _NewProcess(request, sys.stdout.fileno())


class _NewProcess:
    """A new Python process that serves a request, with the interface of ``ForkedProcess``."""

    def __init__(self, request: SqlRequest, output: int) -> None:
        command = [sys.executable, "-m", "t2s_pipeline.commands.sql_process"]
        environment = {**os.environ, "PYTHONUNBUFFERED": ""}
        pipe = subprocess.PIPE
        self._request: bytes | None = json.dumps(asdict(request)).encode()
        self._process = subprocess.Popen(command, stdin=pipe, stdout=output, stderr=pipe, env=environment)
        self.kill, self.wait = self._process.kill, self._process.wait

    def communicate(self, timeout: float | None = None) -> bytes:
        """Wait for the end of the process; return what it wrote on standard error.

        Raises:
            subprocess.TimeoutExpired: if it has not ended after so many seconds.
        """
        rows, words = self._process.communicate(self._request, timeout)
        if rows:
            sys.stdout.write(rows.decode("utf-8", "backslashreplace"))
        return words


def _clean_up(request: SqlRequest) -> None:
    """Remove what a killed process has left."""
    from t2s_pipeline.core.atomic_files import beside
    from t2s_pipeline.lake.snapshot import remove_abandoned

    remove_abandoned(Path(request.home).resolve() / "tmp")
    if request.out:
        beside(Path(request.out))


def main() -> None:
    """Serve the request on standard input."""
    serve(SqlRequest(**json.load(sys.stdin)))


def serve(request: SqlRequest) -> None:
    """Print the rows of a request, in the process that ``run_query`` started for it. A fault ends the process."""
    signal_when_parent_ends(signal.SIGKILL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, request.since + GRACE * request.seconds - time.monotonic()))
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # one that gives memory back to the system at once
    try:
        _answer(request)
        sys.stdout.flush()
    except T2SError as error:
        _end(" ".join(str(error).split()))
    except BrokenPipeError:  # the reader of the output has enough
        _end("")
    except OSError as error:
        if error.errno is None:
            raise
        path = error.filename2 or error.filename
        _end(f"{f'{path}: ' if path else ''}{error.strerror}. T2S_HOME is {request.home}.")
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)  # there may be no memory left for a sentence: the parent has it
    except KeyboardInterrupt:
        os._exit(130)


def _end(sentence: str) -> None:
    if sentence:
        print(sentence, file=sys.stderr, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _import_without_numpy() -> None:
    """Import pyarrow without numpy: nothing here needs it, and its import takes a tenth of a second or more."""
    if "numpy" not in sys.modules and "pyarrow" not in sys.modules:
        sys.modules["numpy"] = None  # type: ignore[assignment]  # as Python documents it: an import of it fails
        try:
            import pyarrow  # noqa: F401
        finally:
            del sys.modules["numpy"]


def _answer(request: SqlRequest) -> None:
    _import_without_numpy()
    from t2s_pipeline.commands import row_formats
    from t2s_pipeline.lake.query_texts import Form, streamed_for_parquet, streamed_texts
    from t2s_pipeline.lake.views import Limits

    settings = Settings(
        Path(request.home), Path(sys.executable), Path(request.sql_dir), lake_address=request.lake_address
    )
    limits = Limits(request.seconds, request.memory_mb, is_whole_process=True, since=request.since)
    if request.form == "parquet":
        with streamed_for_parquet(settings, request.sql, limits) as batches:
            count = row_formats.write_parquet(batches, Path(request.out))
        print(f"{count:,} rows in {request.out}", file=sys.stderr)
        return
    if isinstance(sys.stdout, TextIOWrapper):
        if request.form == "table":
            sys.stdout.reconfigure(errors="backslashreplace")
        else:
            sys.stdout.reconfigure(encoding="utf-8")
    form = {"table": Form.CUT, "json": Form.JSON}.get(request.form, Form.TEXT)
    with streamed_texts(settings, request.sql, form, limits) as result:
        if request.form == "table":
            row_formats.print_table(result, request.rows)
        elif request.form == "json":
            row_formats.write_json(result, sys.stdout)
        else:
            row_formats.write_csv(result, sys.stdout, request.form == "spreadsheet")


if __name__ == "__main__":
    main()
