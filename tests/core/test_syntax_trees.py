import ast
import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from t2s_pipeline.core import syntax_trees
from t2s_pipeline.core.syntax_trees import syntax_tree

REPO = Path(__file__).parents[2]
SOURCE = (REPO / "t2s_pipeline/core/fingerprints.py").read_text("utf-8")


@pytest.fixture
def threads_change_places_often():
    """The garbage collector always works, and runs Python code, so other threads go on in the middle of a tree."""

    def any_code(*_: object) -> None:
        for _ in range(100):
            pass

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(1)
    gc.callbacks.append(any_code)
    yield
    gc.callbacks.remove(any_code)
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


def test_threads_that_make_trees_at_the_same_time_get_the_same_tree(threads_change_places_often: None):
    expected = ast.dump(syntax_tree(SOURCE))
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(lambda _: ast.dump(syntax_tree(SOURCE)), range(40)))
    assert set(trees) == {expected}


def test_an_expression_and_a_fault():
    assert ast.literal_eval(syntax_tree("b'a\\\\b'", "eval")) == b"a\\b"
    with pytest.raises(SyntaxError):
        syntax_tree("def")


def test_every_tree_is_made_in_one_place():
    makers = set()
    for folder in ("t2s_pipeline", "assets", "jobs"):
        for path in (REPO / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ast.parse", "compile"):
                    makers.add(path.name)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "ast.literal_eval":
                    assert "syntax_tree(" in ast.unparse(node), f"{path.name} makes a tree of its own"
    assert makers == {Path(syntax_trees.__file__).name}
