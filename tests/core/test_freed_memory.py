"""A process that keeps freed memory asks the system for less of it."""

import subprocess
import sys
import textwrap

import pytest

COUNT = """
    import resource, sys
    from t2s_pipeline.core.freed_memory import keep_freed_memory
    if sys.argv[1] == "keep":
        keep_freed_memory()
    def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    before = faults()
    for _ in range(200):
        several = [bytes(300_000) for _ in range(4)]
        del several
    print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_freed_memory_is_used_again():
    counts = {}
    for name in ("keep", "plain"):
        command = [sys.executable, "-c", textwrap.dedent(COUNT), name]
        counts[name] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert counts["keep"] <= counts["plain"]
    assert counts["keep"] < 2_000, "200 rounds of 300 pages would be 60,000"
