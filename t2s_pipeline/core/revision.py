"""Which code this is: the version of the package, and the commit of the checkout that it runs from."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from t2s_pipeline.core.settings import REPO


@cache
def revision(folder: Path = REPO) -> str:
    """The version and, in a checkout, the commit: ``0.2.0, commit 5565163``.

    ``with local changes`` is added if tracked files differ from the commit. Without git, or outside of a checkout, it
    is the version alone.

    Args:
        folder: of the checkout.
    """
    try:
        number = version("t2s-pipeline")
    except PackageNotFoundError:
        number = "not installed"
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return number
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{number}, commit {commit}{' with local changes' if changed else ''}"


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None if it cannot be run there, or the folder is not the top of a checkout."""
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
