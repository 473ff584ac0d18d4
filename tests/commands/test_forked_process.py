"""A copy of a process, and what it wrote."""

import subprocess
import sys

from t2s_pipeline.core.settings import REPO

LINGERING = """
import os, subprocess, sys
from t2s_pipeline.commands.forked_process import ForkedProcess

reader, writer = os.pipe()

def main():
    print("the sentence", file=sys.stderr, flush=True)
    os.read(reader, 1)  # it has said all, and has not ended
    sys.exit(1)

process = ForkedProcess(main)
words = []
try:
    process.communicate(timeout=1.0)
except subprocess.TimeoutExpired:
    os.write(writer, b".")
    words = process.communicate()
print(process.returncode, words.decode().strip())
"""


def test_what_was_read_before_the_time_was_over_is_not_lost():
    done = subprocess.run([sys.executable, "-c", LINGERING], capture_output=True, text=True, cwd=REPO, timeout=300)
    assert done.stdout == "1 the sentence\n", done.stderr
