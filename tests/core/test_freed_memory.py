"""A process that keeps freed memory asks the system for less of it."""

import subprocess
import sys
import textwrap

import pytest

COUNT = """
    import resource, sys
    from t2s_pipeline.core.freed_memory import keep_freed_memory
    way, size, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if way == "keep":
        keep_freed_memory()
    if way == "keep all":
        keep_freed_memory(1_000_000_000, with_large_blocks=True)
    def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    before = faults()
    for _ in range(rounds):
        several = [bytearray(b"x") * size for _ in range(4)]
        del several
    print(faults() - before)
"""


def faults(way: str, size: int, rounds: int) -> int:
    """How often a process asks the system for a page while it makes and frees four blocks in each round."""
    command = [sys.executable, "-c", textwrap.dedent(COUNT), way, str(size), str(rounds)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_freed_memory_is_used_again():
    kept = faults("keep", 300_000, 200)
    assert kept <= faults("plain", 300_000, 200)
    assert kept < 2_000, "200 rounds of 300 pages would be 60,000"


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_large_blocks_are_kept_where_that_is_asked_for():
    pages = 4 * 40_000_000 // 4096
    assert faults("keep", 40_000_000, 5) > 4 * pages
    assert faults("keep all", 40_000_000, 5) < 2 * pages
