"""Where Ray is needed and not installed."""

import ast
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from t2s_pipeline.core.distribution.pools import Cluster, large_pool
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.worker.launcher import plain_launch

SENTENCE = "a Ray cluster needs the extra `ray` in both environments. `make setup` installs it."


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "ray" or ".ray_" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


def read_on_a_cluster(home: Path) -> None:
    with large_pool(2, Cluster("auto", home)):
        pass


def send_a_job(home: Path) -> None:
    plain_launch(replace(Settings(home, Path(sys.executable)), ray_address="http://127.0.0.1:9"))(["generate"])


@pytest.mark.parametrize("use", [read_on_a_cluster, send_a_job])
def test_a_missing_ray_is_one_sentence(without_ray: None, tmp_path: Path, use):
    with pytest.raises(T2SError) as refused:
        use(tmp_path)
    assert str(refused.value).endswith(SENTENCE)


def imports_of_ray(tree: ast.AST, is_guarded: bool = False) -> list[tuple[int, bool]]:
    """The lines that import Ray or a module that needs it, and whether ``with ray_extra()`` is around each."""
    lines = []
    for node in ast.iter_child_nodes(tree):
        guards = isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr) == "ray_extra()"
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(part == "ray" or part.startswith("ray_") for name in names for part in name.split(".")):
            lines.append((node.lineno, is_guarded))
        lines += imports_of_ray(node, is_guarded or guards)
    return lines


def test_every_import_of_ray_says_what_is_missing():
    files = [path for path in (REPO / "t2s_pipeline").rglob("*.py") if not path.name.startswith("ray_")]
    imports = {
        f"{path}:{line}": ok for path in files for line, ok in imports_of_ray(ast.parse(path.read_text("utf-8")))
    }
    assert len(imports) >= 4 and all(imports.values()), imports
