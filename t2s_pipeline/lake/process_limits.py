"""A limit on the memory of this process, which the operating system keeps."""

import resource
from pathlib import Path


def limit_memory(memory_mb: int) -> int:
    """Let the system give this process no more memory than that; return what it has in use now, in MB.

    An allocation above the limit fails. Where the system does not say what a process uses (macOS), there is no limit,
    and 0 is returned.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    kilobytes = {name: int(value.split()[0]) for name, _, value in (x.partition(":") for x in lines) if "kB" in value}
    used, mapped = kilobytes["VmRSS"] // 1024, kilobytes["VmData"] * 1024
    # The limit counts memory that is mapped, also what is not used yet, such as the stacks of threads. So it is what is
    # mapped now, and what may still be used.
    limit = mapped + max(memory_mb - used, 0) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return used
