"""The command line: a readable answer, a meaningful exit code, one message for each repairable fault."""

import contextlib
import csv
import io
import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.cli import main  # noqa: E402
from t2s_pipeline.commands import sql as sql_command  # noqa: E402
from t2s_pipeline.commands.command_line import VERBS, command_line, commands  # noqa: E402
from t2s_pipeline.commands.sql_options import usual_options  # noqa: E402
from t2s_pipeline.lake.schema import BENCHMARK_METRICS  # noqa: E402
from t2s_pipeline.lake.store import write_partition  # noqa: E402
from tests.data.make_custom import HERE as CUSTOM  # noqa: E402
from tests.data.make_earthreason import HERE  # noqa: E402
from tests.data.make_phrases import REFSEGRS  # noqa: E402


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A T2S_HOME in which two systems have been scored."""
    place = tmp_path_factory.mktemp("home")
    row = {"dataset": "synthetic", "split": "test", "protocol": "strict", "n": 200, "answers": 600}
    rows = [
        {**row, "system": "zero-shot-mini", "giou": 31.25, "ciou": 28.0, "p_at_50": float("nan")},
        {**row, "system": "think2seg-mini", "giou": 55.5, "ciou": 61.125, "p_at_50": 57.0},
    ]
    table = pa.Table.from_pylist(rows, schema=BENCHMARK_METRICS.schema)
    write_partition(place / "lake", BENCHMARK_METRICS, {}, table)
    return place


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def t2s(home: Path, *arguments: object, stdin: str | bytes = b"", columns: int = 200) -> Done:
    """Run `t2s` in this process: what the console script calls, with the inputs of a process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.dict(os.environ, T2S_HOME=str(home), COLUMNS=str(columns)),
        patch.object(sys, "argv", ["t2s", *map(str, arguments)]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
    return Done(code, out.getvalue(), err.getvalue())


def message_of(done: Done) -> str:
    """The message of a repairable fault."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.startswith("t2s: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("t2s: ").strip()


SYSTEMS = "SELECT system, giou, p_at_50 FROM benchmark_metrics ORDER BY giou"


def test_a_table_for_people(home):
    done = t2s(home, "sql", SYSTEMS)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [
        ["system", "giou", "p_at_50"],
        ["zero-shot-mini", "31.25", "nan"],
        ["think2seg-mini", "55.5", "57.0"],
        ["2", "rows"],
    ]


def test_json_for_programs(home):
    done = t2s(home, "sql", SYSTEMS, "--json")
    assert json.loads(done.stdout) == [
        {"system": "zero-shot-mini", "giou": 31.25, "p_at_50": "nan"},
        {"system": "think2seg-mini", "giou": 55.5, "p_at_50": 57.0},
    ]


def test_csv_for_spreadsheets(home):
    done = t2s(home, "sql", SYSTEMS, "--csv")
    assert list(csv.DictReader(io.StringIO(done.stdout)))[1] == {
        "system": "think2seg-mini",
        "giou": "55.5",
        "p_at_50": "57.0",
    }


def test_parquet_for_notebooks(home, tmp_path):
    done = t2s(home, "sql", SYSTEMS, "--parquet", tmp_path / "new" / "out.parquet")
    assert (done.returncode, done.stdout) == (0, "")
    assert pq.read_table(tmp_path / "new" / "out.parquet")["giou"].to_pylist() == [31.25, 55.5]


def test_the_statement_may_come_from_a_file_or_standard_input(home, tmp_path):
    (tmp_path / "q.sql").write_text("-- why\nSELECT 6 * 7 AS answer;\n")
    assert json.loads(t2s(home, "sql", "--file", tmp_path / "q.sql", "--json").stdout) == [{"answer": 42}]
    assert json.loads(t2s(home, "sql", "--json", stdin="SELECT 6 * 7 AS answer").stdout) == [{"answer": 42}]


@pytest.mark.parametrize("text", ["SELECT 'Größe' AS a".encode("latin-1"), "SELECT 1".encode("utf-16")])
def test_a_statement_in_another_encoding_is_one_sentence(home, tmp_path, text):
    (tmp_path / "q.sql").write_bytes(text)
    assert "q.sql is not UTF-8 text" in message_of(t2s(home, "sql", "--file", tmp_path / "q.sql"))
    assert "Standard input is not UTF-8 text" in message_of(t2s(home, "sql", stdin=text))
    if b"\0" not in text:
        assert "The SELECT is not UTF-8 text (character 11)" in message_of(t2s(home, "sql", os.fsdecode(text)))


def test_a_mark_at_the_start_of_a_file_is_no_part_of_the_statement(home, tmp_path):
    (tmp_path / "q.sql").write_text("SELECT 1 AS a", encoding="utf-8-sig")
    assert json.loads(t2s(home, "sql", "--file", tmp_path / "q.sql", "--json").stdout) == [{"a": 1}]


def test_a_terminal_of_another_encoding_gets_an_escape_and_programs_get_utf8(home):
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", "SELECT 'ü' AS a"]
    environment = {**os.environ, "T2S_HOME": str(home), "PYTHONIOENCODING": "ascii"}
    shown = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    assert shown.splitlines()[1].strip() == b"\\xfc"
    written = subprocess.run([*command, "--csv"], env=environment, capture_output=True, check=True).stdout
    assert written == "a\nü\n".encode()


@pytest.mark.parametrize(
    "words",
    [["SELECT 1"], [""], [" -1"], ["SELECT 1", "--json"], ["--csv", "SELECT 1"], ["SELECT 1", "--json", "--csv"]],
)
def test_the_usual_options_are_those_that_typer_reads(words, monkeypatch):
    read = []
    monkeypatch.setattr(sql_command, "answer", lambda options: read.append(options) or 0)
    command_line(["sql"])(["sql", *words], standalone_mode=False)
    assert [usual_options(words)] == read


@pytest.mark.parametrize(
    "words",
    [[], ["-"], ["--help"], ["-1"], ["a", "b"], ["a", "--limit", "3"], ["a", "--limit=3"], ["a", "--", "--json"]],
)
def test_other_options_are_left_to_typer(words):
    assert usual_options(words) is None


def test_rows_beyond_the_limit_are_counted(home):
    lines = t2s(home, "sql", "FROM range(1000)", "--limit", 3).stdout.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("1,000 rows, 3 shown")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sql", "SELECT nothing FROM benchmark_metrics"), "nothing"),
        (("sql", "DROP VIEW leaderboard"), "exactly one SELECT"),
        (("sql", "SELECT 1; SELECT 2"), "exactly one SELECT"),
        (("sql", ""), "exactly one SELECT"),
        (("sql", "--file", "/no/such/file.sql"), "/no/such/file.sql cannot be read"),
        (("sql", "SELECT 1", "--file", "x.sql"), "not both"),
        (("sql", "SELECT 1", "--json", "--csv"), "at most one of"),
        (("sql", "SELECT 1", "--parquet", "/proc/nowhere/out.parquet"), "/proc/nowhere"),
        (("tables", "no_such_table"), "no table or view no_such_table"),
        (("ingest", "/no/such/folder"), "/no/such/folder"),
        (("ingest", str(HERE / "train")), "not in the layout of earthreason"),
        (("ingest", str(HERE.parent)), "several datasets (earthreason, real_scenes)"),
        (("ingest", "risbench", "--root", str(HERE)), "not in the layout of risbench"),
        (("ingest", "risbench"), "T2S_RISBENCH_ROOT"),
        (("ingest", "custom", "--images", str(HERE)), "--masks and --queries"),
        (("ingest", "refsegrs", "--coco", "x.json"), "--coco is for `t2s ingest custom`"),
    ],
)
def test_a_repairable_fault_is_one_sentence_and_exit_code_one(home, arguments, words):
    assert words in message_of(t2s(home, *arguments))


def test_a_home_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in message_of(t2s(tmp_path / "file" / "home", "ingest", HERE.parent / "real_scenes"))


def test_a_wrong_option_is_exit_code_two(home):
    done = t2s(home, "sql", "SELECT 1", "--jsn")
    assert done.returncode == 2
    assert "--jsn" in done.stderr


@pytest.mark.parametrize("verb", ["", *(verb.replace("_", "-") for verb in VERBS)])
def test_every_verb_has_a_help_that_says_what_it_does(home, verb):
    done = t2s(home, *filter(None, [verb]), "--help")
    assert done.returncode == 0
    assert "Usage: t2s" in done.stdout
    if not verb:
        for command in commands():
            assert command.__name__.replace("_", "-") in done.stdout
            assert command.__doc__.strip().splitlines()[0][:30] in done.stdout


def test_the_module_runs_as_a_program_and_its_exit_code_is_the_processes(home):
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", "SELEC"]
    environment = {**os.environ, "T2S_HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        't2s: Parser Error: syntax error at or near "SELEC"\n',
    )


def test_help_loads_nothing_heavy():
    heavy = {"duckdb", "dagster", "torch", "pyarrow", "numpy", "rich", "pydantic", "importlib.metadata"}
    script = f"""
import sys
from t2s_pipeline.commands.command_line import command_line
try:
    command_line()(["--help"])
finally:
    print({heavy!r} & set(sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()" and "Usage:" in done.stdout


def test_tables_lists_tables_and_questions_and_describes_one(home):
    listing = t2s(home, "tables").stdout
    for name in ("images", "benchmark_metrics", "leaderboard", "table1_earthreason"):
        assert f"\n{name} " in listing
    described = t2s(home, "tables", "benchmark_metrics").stdout
    assert "giou" in described
    assert "mean IoU over samples" in described
    question = t2s(home, "tables", "leaderboard").stdout
    assert "giou_low" in question
    assert "FROM benchmark_metrics" in question


def test_a_folder_becomes_a_dataset_and_a_second_time_costs_nothing(tmp_path):
    done = t2s(tmp_path, "ingest", HERE.parent / "real_scenes")
    assert done.returncode == 0, done.stderr
    counted = t2s(
        tmp_path, "sql", "SELECT dataset, split, count(*) AS n FROM samples GROUP BY ALL ORDER BY 2", "--json"
    )
    assert json.loads(counted.stdout) == [
        {"dataset": "real-scenes", "split": "test", "n": 2},
        {"dataset": "real-scenes", "split": "val", "n": 2},
    ]
    written = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.parquet"))
    again = t2s(tmp_path, "ingest", HERE.parent / "real_scenes")
    assert "already done" in again.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*.parquet")) == written


def test_a_benchmark_is_ingested_by_name_one_split_or_all_with_progress(tmp_path):
    done = t2s(tmp_path, "ingest", "refsegrs", "--root", REFSEGRS, "--only", "val")
    assert done.returncode == 0, done.stderr
    assert "reading val" in done.stderr
    assert "warning: samples of refsegrs val: 1 samples where 431 were published, 1 set aside" in done.stderr
    again = t2s(tmp_path, "ingest", "refsegrs")  # the folder is remembered
    assert again.returncode == 0, again.stderr
    counted = t2s(tmp_path, "sql", "SELECT split, count(*) AS n FROM samples GROUP BY ALL ORDER BY 1", "--json")
    assert {row["split"]: row["n"] for row in json.loads(counted.stdout)} == {"test": 2, "train": 6, "val": 1}
    aside = t2s(tmp_path, "sql", "SELECT source, reason FROM rejects", "--json")
    assert json.loads(aside.stdout) == [{"source": "output_phrase_val.txt:2", "reason": "missing_image"}]
    assert "no split spring" in message_of(t2s(tmp_path, "ingest", "refsegrs", "--only", "spring"))


def test_what_is_unusual_is_told_settings_decide_and_nothing_but_rejects_fails(tmp_path):
    cases = HERE.parent / "cases"

    def ingest(folder: str, *options: str) -> subprocess.CompletedProcess[str]:
        paths = ("--images", cases / folder / "images", "--masks", cases / folder / "masks")
        return t2s(
            tmp_path, "ingest", "custom", *paths, "--queries", cases / folder / "q.csv", "--name", folder, *options
        )

    done = ingest("mask_jpeg")
    assert done.returncode == 0, done.stderr
    assert "warning: notes of mask-jpeg test: unusual files: 4 lossy_mask" in done.stderr
    decided = ingest("mask_jpeg", "--threshold", "127")
    assert decided.returncode == 0, decided.stderr
    assert "unusual files" not in decided.stderr
    recorded = t2s(tmp_path, "sql", "select detail from notes where kind = 'pixel_rules'", "--json")
    assert json.loads(recorded.stdout) == [{"detail": '{"threshold": 127.0}'}]
    failed = ingest("image_nan", "--bands", "99")
    assert failed.returncode == 1
    assert "No sample of image-nan test could be read" in failed.stderr
    assert "--bands is for your own data" in message_of(t2s(tmp_path, "ingest", "rrsis-d", "--bands", "1"))


def test_data_of_ones_own_is_one_command(tmp_path):
    own = ("--images", CUSTOM / "images")
    table = t2s(tmp_path, "ingest", "custom", *own, "--masks", CUSTOM / "masks", "--queries", CUSTOM / "questions.csv")
    assert table.returncode == 0, table.stderr
    coco = t2s(tmp_path, "ingest", "custom", *own, "--coco", CUSTOM / "instances.json", "--name", "coco")
    assert coco.returncode == 0, coco.stderr
    asked = "SELECT dataset, split, count(*) AS n FROM samples GROUP BY ALL ORDER BY ALL"
    assert json.loads(t2s(tmp_path, "sql", asked, "--json").stdout) == [
        {"dataset": "coco", "split": "test", "n": 4},
        {"dataset": "custom", "split": "test", "n": 3},
        {"dataset": "custom", "split": "val", "n": 1},
    ]
    published = "SELECT rule, count(*) AS n FROM selections WHERE published GROUP BY ALL"
    assert json.loads(t2s(tmp_path, "sql", published, "--json").stdout) == [{"rule": "by_hash", "n": 8}]


def test_the_doctor_tells_people_and_programs(tmp_path):
    assert t2s(tmp_path, "ingest", "refsegrs", "--root", REFSEGRS, "--only", "val").returncode == 0
    done = t2s(tmp_path, "doctor")
    assert done.returncode == 0, done.stderr
    assert "val: 1 (431), 1 set aside" in done.stdout
    assert "T2S_RISBENCH_ROOT" in done.stdout
    assert "think2seg-rs-3b" in done.stdout
    assert {each["key"] for each in json.loads(t2s(tmp_path, "doctor", "--json").stdout)["datasets"]} >= {"risbench"}


@pytest.mark.parametrize("command", ["doctor", "experiments", "leaderboard"])
def test_eighty_columns_are_enough_and_no_name_is_broken(tmp_path, command):
    from t2s_pipeline.methods.experiments import EXPERIMENTS

    names = [*EXPERIMENTS, "think2seg-rs-3b-sam2.1-base-plus--1200"]
    row = {"dataset": "synthetic", "split": "test", "protocol": "strict", "n": 200, "answers": 600}
    row |= {"giou": 12.34, "giou_low": 10.0, "giou_high": 15.0, "ciou": 100.0, "rejection_true": 1}
    rows = [{**row, "system": name, "rejection_false": 51} for name in names]
    table = pa.Table.from_pylist(rows, schema=BENCHMARK_METRICS.schema)
    write_partition(tmp_path / "lake", BENCHMARK_METRICS, {}, table)
    done = t2s(tmp_path, command, columns=80)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    words = done.stdout.replace(",", " ").split()
    assert set(names[:3] if command == "doctor" else EXPERIMENTS) <= set(words)
    assert json.loads(t2s(tmp_path, command, "--json").stdout)


def test_a_long_command_can_be_copied(capsys):
    from rich.console import Console

    from t2s_pipeline.commands.printing import print_command

    command = "hf download 'a model'/of-a-long-name --revision 66285546d2b821cf421d4f5eb2576359d3770cd3 --cache"
    print_command(Console(width=60), command)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60 and shown.count("\\\n") == 1
    assert shlex.split(shown.replace("→", "").replace("\\\n", "")) == shlex.split(command)


def test_a_split_is_exported_by_one_command(tmp_path):
    assert t2s(tmp_path, "ingest", "refsegrs", "--root", REFSEGRS, "--only", "train").returncode == 0
    done = t2s(tmp_path, "export-dataset", "refsegrs", "train", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "6 samples, files: 1" in done.stdout
    assert "val" in message_of(t2s(tmp_path, "export-dataset", "refsegrs", "val", tmp_path / "out"))


class Terminal:
    """`t2s` with a person in front of it."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.unread = ""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "t2s_pipeline.cli", *arguments],
            env={**os.environ, "T2S_HOME": str(home), "TERM": "dumb"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, words: str) -> str:
        """What is shown up to ``words``, beginning after what the last call returned."""
        while words not in self.unread:
            ready, _, _ = select.select([self.master], [], [], 120)
            assert ready, f"waited for {words!r}, saw {self.unread!r}"
            self.unread += os.read(self.master, 65536).decode(errors="replace")
        shown, self.unread = self.unread.split(words, 1)
        return shown

    def type(self, words: str) -> None:
        os.write(self.master, words.encode())

    def interrupt_until(self, words: str) -> None:
        """Press Ctrl-C, and again if nothing comes of it: readline loses one that comes before it begins to wait."""
        for _ in range(20):
            os.killpg(self.process.pid, signal.SIGINT)
            if select.select([self.master], [], [], 5)[0]:
                self.until(words)
                return
        pytest.fail(f"twenty interrupts, and no {words!r}")

    def close(self) -> int:
        code = self.process.wait(60)
        os.close(self.master)
        return code


def test_the_prompt_answers_until_it_is_left_and_a_mistake_does_not_end_it(home):
    terminal = Terminal(home, "sql")
    terminal.until("t2s sql> ")
    terminal.type("SELEC 1;\n")
    assert "syntax error" in terminal.until("t2s sql> ")
    terminal.type("SELECT giou\n")
    terminal.until("> ")
    terminal.type("FROM benchmark_metrics WHERE system = 'think2seg-mini';\n")
    assert "55.5" in terminal.until("1 row")
    terminal.until("t2s sql> ")
    terminal.type("\x04")
    assert terminal.close() == 0


def test_an_interrupt_at_the_prompt_drops_the_line_not_the_session(home):
    terminal = Terminal(home, "sql")
    terminal.until("t2s sql> ")
    terminal.type("SELECT 1\n")
    terminal.until("> ")
    terminal.interrupt_until("t2s sql> ")
    terminal.type("SELECT 2 + 3 AS five;\n")
    assert "5" in terminal.until("1 row")
    terminal.until("t2s sql> ")
    terminal.type("\x04")
    assert terminal.close() == 0


def test_an_interrupted_command_is_exit_code_130(home):
    script = (
        "import os, signal, sys, t2s_pipeline.commands.sql_options as sql_options\n"
        "from t2s_pipeline.cli import main\n"
        "sql_options.run_query = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['t2s', 'sql', 'SELECT 1']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
