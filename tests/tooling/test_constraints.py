"""An environment holds the versions of its file in constraints/, and the file names every package that it needs."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from t2s_pipeline.core.settings import REPO

EXTRAS = {
    "orchestrator": ("orchestrator", "geo", "ray", "s3", "dev", "check", "docs"),
    "worker": ("worker", "ray", "s3", "dev"),
}
"""The extras that ``make setup`` installs into each environment."""

HERE = "orchestrator" if find_spec("dagster") else "worker"
"""The environment that these tests run in."""


def constraints(path: Path) -> dict[str, SpecifierSet]:
    """The version of each package, of the lines that hold for this Python and this machine."""
    lines = [line.split(" #")[0].strip() for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    requirements = [Requirement(line) for line in lines if line]
    return {
        canonicalize_name(requirement.name): requirement.specifier
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate()
    }


def direct_requirements(extras: tuple[str, ...]) -> list[Requirement]:
    """What pyproject.toml asks for: its dependencies and those of the extras."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def required_versions(requirements: list[Requirement]) -> dict[str, str | None]:
    """Each package that these need, directly or not → the installed version, None if it is missing."""
    versions: dict[str, str | None] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, asked_as = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": asked_as}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            versions[name] = None
            continue
        versions[name] = package.version
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(Requirement(line), extra) for line in package.requires or ()]
    return versions


def differences(versions: dict[str, str | None], allowed: dict[str, SpecifierSet]) -> list[str]:
    """One sentence per package whose version is not the one of the file. A local part (+cu132) does not count."""
    sentences = []
    for name, version in sorted(versions.items()):
        if version is None:
            sentences.append(f"{name} is missing")
        elif name not in allowed:
            sentences.append(f"{name} {version} is not in the file")
        elif not allowed[name].contains(version, prereleases=True):
            sentences.append(f"{name} is {version}, and the file says {allowed[name]}")
    return sentences


def test_this_environment_is_the_one_of_its_file() -> None:
    different = differences(
        required_versions(direct_requirements(EXTRAS[HERE])), constraints(REPO / "constraints" / f"{HERE}.txt")
    )
    assert different == [], (
        f"The environment differs from constraints/{HERE}.txt: {'; '.join(different)}. Run make setup to bring it "
        "up to date. If pyproject.toml asks for a new package, run make update-constraints KEEP=1 first."
    )


@pytest.mark.parametrize("name", EXTRAS)
def test_every_line_is_a_name_and_a_version(name: str) -> None:
    lines = (REPO / "constraints" / f"{name}.txt").read_text("utf-8").splitlines()
    versions = [line for line in lines if not line.startswith("#")]
    odd = [line for line in versions if not re.fullmatch(r"[a-z0-9-]+==[0-9A-Za-z.]+( ; .+)?", line)]
    assert odd == [], "a line has an address, an option, or a version with a local part"


@pytest.mark.parametrize("name", EXTRAS)
def test_the_file_names_every_package_of_pyproject_with_a_version_it_admits(name: str) -> None:
    allowed = constraints(REPO / "constraints" / f"{name}.txt")
    for requirement in direct_requirements(EXTRAS[name]):
        if requirement.marker is None or requirement.marker.evaluate():
            (pin,) = allowed[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin.version), f"{pin} is not within {requirement}"


def test_both_files_agree_on_the_packages_that_both_environments_need() -> None:
    files = [constraints(REPO / "constraints" / f"{name}.txt") for name in EXTRAS]
    ours = {canonicalize_name(requirement.name) for requirement in direct_requirements(("dev",))} - {"dagster-pipes"}
    assert [name for name in sorted(ours) if files[0][name] != files[1][name]] == []


def test_a_difference_names_the_package() -> None:
    allowed = {"torch": SpecifierSet("==2.15.0"), "numpy": SpecifierSet("==2.4.6"), "rich": SpecifierSet("==15.0.0")}
    installed = {"torch": "2.15.0+cu132", "numpy": "2.5.5", "rich": None, "click": "8.5.1"}
    assert differences(installed, allowed) == [
        "click 8.5.1 is not in the file",
        "numpy is 2.5.5, and the file says ==2.4.6",
        "rich is missing",
    ]


def test_setup_installs_the_extras_that_are_compared_here() -> None:
    makefile = (REPO / "Makefile").read_text("utf-8")
    script = (REPO / ".ci/update-constraints").read_text("utf-8")
    for name, extras in EXTRAS.items():
        assert re.search(rf"\.ci/environment \$\(PYTHON\) \S+ {name} {','.join(extras)} ", makefile)
        assert re.search(rf"^resolve {name} {' '.join(extras)}$", script, re.MULTILINE)


def test_both_environments_have_one_version_of_what_both_use() -> None:
    # Test files that need neither Dagster nor torch run in the orchestrator's environment only (tests/conftest.py).
    orchestrator, worker = (constraints(REPO / "constraints" / f"{name}.txt") for name in EXTRAS)
    shared = {canonicalize_name(requirement.name) for requirement in direct_requirements(("dev",))}
    assert {"numpy", "pyarrow", "pillow", "hypothesis"} <= shared
    # dagster-pipes only carries messages.
    assert {name for name in shared - {"dagster-pipes"} if orchestrator[name] != worker[name]} == set()
