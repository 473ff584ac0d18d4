"""SELECTs that need more time or memory than anybody has, in all the ways that we know: 50 of them."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.settings import REPO

SLOW = (
    "SELECT count(*) FROM range(100000000000)",
    "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 3",
    "SELECT sum(sin(a.range) * cos(b.range)) FROM range(1000000000) a, range(1000) b",
    "FROM range(100000000000)",
    "SELECT range, md5(range::VARCHAR) FROM range(100000000000)",
    "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM t) FROM t",
    "SELECT count(*) FROM range(100000) a, range(100000) b WHERE levenshtein(a.range::VARCHAR, b.range::VARCHAR) = 2",
    "SELECT max(xor(a.range, b.range)) FROM (SELECT range FROM range(200000)) a, range(200000) b",
    "SELECT levenshtein(repeat('ab', 200000), repeat('ba', 200000))",
    "SELECT damerau_levenshtein(repeat('ab', 20000), repeat('ba', 20000))",
    "SELECT count(*) FROM range(1000000000) WHERE sha256(range::VARCHAR) LIKE '000000000000%'",
    "SELECT count(*) FROM generate_series(1, 9223372036854775806)",
    "SELECT count(DISTINCT a.range % 10) FROM range(10000000) a, range(100000) b",
    "SELECT sum(list_sum(list_transform(range(1000), lambda x: x * a.range))) FROM range(1000000000) a",
    "SELECT list_reduce(range(3000000), lambda x, y: (x * y + 1) % 1000003) FROM range(1000000)",
    "SELECT count(*) FROM range(1000000000) WHERE regexp_matches(range::VARCHAR, '(9.*){10}8')",
    "SELECT count(*) FROM range(1000000000) a ANTI JOIN range(10) b ON a.range < b.range",
    "SELECT bit_count(a.range) FROM range(100000000000) a WHERE bit_count(a.range) > 60",
    "SELECT median(a.range * b.range) FROM range(100000) a, range(1000000) b",
    "SELECT count(*) FROM range(10000000000000) WHERE random() < 0.0000001",
    "SELECT jaccard(repeat('abcdefgh', 30000000), repeat('hgfedcba', 30000000)) FROM range(1000000)",
    "SELECT editdist3(repeat('xy', 100000), repeat('yx', 100000))",
    "SELECT json_extract(repeat('[', 200) || '1' || repeat(']', 200), '$') FROM range(100000000000)",
    "SELECT format('{:>50}', range) FROM range(100000000000)",
)
"""They have no end, or none that one waits for."""

LARGE = (
    "SELECT repeat('x', 4000000000)",
    "SELECT repeat('x', 1000000000)",
    "SELECT repeat('x', range::INT) FROM range(3000000)",
    "SELECT list(range) FROM range(1000000000)",
    "SELECT list_sort(range(1000000000))",
    "SELECT range(1000000000)",
    "SELECT range(100000000)::VARCHAR",
    "SELECT string_agg(repeat('x', 10000)) FROM range(10000000)",
    "SELECT string_agg(range::VARCHAR) FROM range(1000000000)",
    "SELECT regexp_replace(repeat('a', 100000000), 'a', 'bbbbbbbbbb', 'g')",
    "SELECT replace(repeat('a', 100000000), 'a', repeat('b', 100))",
    "SELECT list_transform(range(1000000000), lambda x: x * 2)",
    "SELECT flatten(list(range(1000000))) FROM range(1000)",
    "SELECT histogram(range) FROM range(1000000000)",
    "SELECT map(range(100000000), range(100000000))",
    "SELECT array_agg(repeat('y', 1000000)) FROM range(100000)",
    "SELECT list_distinct(range(1000000000))",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT list_aggregate(range(1000000000), 'string_agg', ',')",
    "SELECT str_split(repeat('a,', 500000000), ',')",
    "SELECT to_json(range(1000000000))",
    "SELECT hex(repeat('a', 1000000000))",
    "SELECT concat(repeat('a', 1000000000), repeat('b', 1000000000))",
    "SELECT list_zip(range(100000000), range(100000000))",
    "SELECT group_concat(sha256(range::VARCHAR)) FROM range(1000000000)",
)
"""Their values do not fit into memory."""


MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""A small process that starts a command: the peak of a process counts that of the one that started it."""


@dataclass(frozen=True)
class Explosion:
    """How ``t2s sql`` ended.

    Attributes:
        returncode: its exit code.
        sentence: what it wrote to standard error.
        seconds: of the whole command.
        peak_mb: the most resident memory of one of its processes.
    """

    returncode: int
    sentence: str
    seconds: float
    peak_mb: float


def explode(sql: str, home: Path, seconds: float, memory_mb: int) -> Explosion:
    """Run ``t2s sql`` with these limits; its rows are thrown away."""
    command = [sys.executable, "-m", "t2s_pipeline.cli", "sql", sql, "--csv"]
    command += ["--seconds", str(seconds), "--memory", str(memory_mb)]
    environment = {**os.environ, "T2S_HOME": str(home)}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, env=environment, cwd=REPO, check=True
    )
    code, peak_kb = map(int, done.stdout.split())
    # The usage of a process includes that of the processes that it has waited for.
    return Explosion(code, done.stderr.strip(), time.monotonic() - begin, peak_kb / 1024)
