"""Syntax trees of Python text, made by one thread at a time."""

import ast
import threading

_ONE_AT_A_TIME = threading.Lock()


def syntax_tree(source: str, mode: str = "exec") -> ast.AST:
    """What ``ast.parse`` gives; safe in several threads.

    CPython 3.11 counts the depth of a tree once per process. So two threads that make trees at the same time can get
    a SystemError, "AST constructor recursion depth mismatch" (cpython#106905).

    Args:
        source: Python code.
        mode: ``exec`` for a module, ``eval`` for one expression.

    Raises:
        SyntaxError: if the text is not Python.
        ValueError: if it holds a null character.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source, mode=mode)
