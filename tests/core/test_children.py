"""Processes of a pool end with the process that started them, however it ends."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import REPO
from tests.processes import Doorbell, has_ended

PARENT = """
import os, sys
from t2s_pipeline.core.children import process_pool
if __name__ == "__main__":
    with process_pool(2) as pool:
        # A process is started when a task finds none that is idle. Both have begun when both have done a task.
        pids = set()
        while len(pids) < 2:
            pids |= {done.result() for done in [pool.submit(os.getpid) for _ in range(8)]}
        with open(sys.argv[1], "w") as bell:
            bell.write(" ".join(map(str, pids)) + "\\n")
        input()
"""


@pytest.mark.parametrize("stopped", [False, True])
def test_no_process_of_a_pool_outlives_a_killed_parent_even_one_that_is_stopped(tmp_path: Path, stopped: bool):
    bell, script = Doorbell(tmp_path / "bell"), tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    command = [sys.executable, str(script), str(bell.path)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        pids = [int(pid) for pid in bell.rung(parent).split()]
        if stopped:
            os.kill(pids[0], signal.SIGSTOP)
        parent.kill()
    assert len(pids) == 2 and all(has_ended(pid) for pid in pids)


def test_a_process_that_the_system_ends_is_one_sentence():
    with pytest.raises(T2SError, match=r"One of 1 processes .* was ended from outside"), process_pool(1) as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()


def test_every_pool_is_made_in_one_place():
    makers = []
    for path in sorted(Path(REPO, "t2s_pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called.rpartition(".")[2] in ("ProcessPoolExecutor", "Pool", "get_context", "Process", "fork"):
                makers.append(f"{path.name}: {called}")
    allowed = {
        "children.py: ProcessPoolExecutor",
        "children.py: multiprocessing.get_context",
        "children.py: context.Process",
        # Of t2s sql. It ends with its parent too: tests/commands/test_sql_process.py.
        "forked_process.py: os.fork",
    }
    assert {maker for maker in makers if "psutil" not in maker} - allowed == set()
