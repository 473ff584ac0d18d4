"""Stopping a worker with all of its child processes."""

import os
import signal
import subprocess

import psutil

GRACE_SECONDS = 20.0
"""Seconds that a worker may take to stop after SIGTERM before it is killed."""


def stop(leader: "subprocess.Popen[bytes]", grace: float = GRACE_SECONDS) -> None:
    """Stop the worker and its child processes: SIGTERM, and SIGKILL ``grace`` seconds later for those that remain.

    ``leader`` leads a process group of its own. Ranks that torchrun starts are in other sessions. While the leader
    runs, they are its descendants and are stopped as such. After it has ended, they stop because of the tether.
    Calling this for a worker that has ended does nothing.
    """
    members = _family(leader.pid)
    if _signal_group(leader.pid, signal.SIGTERM) or members:
        # A process that is stopped (SIGSTOP) acts on SIGTERM only when it continues.
        _signal_group(leader.pid, signal.SIGCONT)
        _, remaining = psutil.wait_procs(members, timeout=grace)
        # Include what they started in the meantime. The leader may have ended while a child of it has not.
        for member in {process for parent in remaining for process in (parent, *_children(parent))}:
            _kill(member)
        _signal_group(leader.pid, signal.SIGKILL)
    leader.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return []
    return [leader, *_children(leader)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _signal_group(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True
