"""The generated pages of the reference: tables, views, command line. The Python pages are made by mkdocstrings.

Each page is Markdown made from the objects that the program itself uses, so that it cannot differ from them.
"""

import inspect
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import typer

from t2s_pipeline.commands.command_line import command_line, commands, groups
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.questions import PARTITION_MEANINGS, meaning, questions
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.views import query

GENERATED = "<!-- This page is generated when the site is built. -->\n"


def tables_page() -> str:
    """Every table of the lake: its meaning, its partition columns, and the type and meaning of each column."""
    lines = [
        "# Tables",
        "",
        "Every table is a folder of Parquet files, `T2S_HOME/lake/<table>/<partition columns>/data.parquet`.",
        "A partition column is a part of the path, not of the file; SQL sees it as a column of type string.",
        "`t2s tables` prints the same list.",
        "",
        *_rows(
            ("table", "one row is"), ((f"[{table.name}](#{table.name})", table.meaning) for table in TABLES.values())
        ),
    ]
    for table in TABLES.values():
        lines += ["", f"## {table.name} {{ #{table.name} }}", "", table.meaning, "", *_columns(table)]
    return GENERATED + "\n".join(lines) + "\n"


def _columns(table: Table) -> list[str]:
    partition = [(f"`{name}`", "string, partition", PARTITION_MEANINGS[name]) for name in table.partition_by]
    own = [(f"`{column.name}`", _code(str(column.type)), column.meaning) for column in table.columns]
    return _rows(("column", "type", "meaning"), [*partition, *own])


def views_page() -> str:
    """Every file of ``sql/``: the question that it answers, its columns with types and meanings, and its text."""
    with tempfile.TemporaryDirectory() as home:
        settings = replace(Settings.from_env(), home=Path(home))
        asked = questions(settings)
        columns = {
            view.name: query(settings, f'DESCRIBE "{view.name}"').select(["column_name", "column_type"]).to_pylist()
            for view in asked
        }
    lines = [
        "# Views",
        "",
        'Each file of `sql/` is one SELECT, which becomes a view: `t2s sql "from leaderboard"`. Its first comment says',
        "which question it answers.",
        "",
        *_rows(("view", "what it answers"), ((f"[{view.name}](#{view.name})", _text(view.comment)) for view in asked)),
    ]
    for view in asked:
        described = [
            (f"`{row['column_name']}`", _code(row["column_type"]), _text(meaning(view, row["column_name"])))
            for row in columns[view.name]
        ]
        lines += ["", f"## {view.name} {{ #{view.name} }}", "", _text(view.comment), ""]
        lines += _rows(("column", "type", "meaning"), described)
        lines += ["", '??? note "The SELECT"', "", *(f"    {line}".rstrip() for line in _fenced(view.sql, "sql"))]
    return GENERATED + "\n".join(lines) + "\n"


def command_line_page() -> str:
    """Every command of ``t2s`` with its arguments, options and help texts."""
    functions = {function.__name__.replace("_", "-"): function for function in commands()}
    for group in groups():
        callbacks = [command.callback for command in group.registered_commands if command.callback]
        functions |= {f"{group.info.name} {function.__name__}": function for function in callbacks}
    lines = [
        "# Command line",
        "",
        "`t2s COMMAND --help` prints the same. Exit codes: 0 done; 1 a problem that you can solve, described in one",
        "sentence on stderr; 2 a wrong option; 130 interrupted.",
        "",
        *_rows(
            ("command", "what it does"),
            ((f"[t2s {name}](#{_anchor(name)})", _text(_first_paragraph(functions[name]))) for name in functions),
        ),
    ]
    for name, function in functions.items():
        lines += ["", f"## t2s {name} {{ #{_anchor(name)} }}", "", _text(inspect.getdoc(function) or "")]
        types = get_type_hints(function)
        parameters = [parameter for parameter in _parser(name).params if parameter.name in types]
        if parameters:
            rows = [_parameter(parameter, types[parameter.name]) for parameter in parameters]
            lines += ["", *_rows(("argument or option", "type", "default", "meaning"), rows)]
    return GENERATED + "\n".join(lines) + "\n"


def _anchor(command: str) -> str:
    return f"t2s-{command.replace(' ', '-')}"


def _parser(command: str) -> Any:
    """What typer makes of a command, by the words that one types after ``t2s``."""
    parser: Any = typer.main.get_command(command_line())
    for word in command.split():
        parser = parser.commands[word]
    return parser


def python_page(room: str) -> str:
    """The reference of one room, which mkdocstrings fills from the docstrings."""
    return f"{GENERATED}\n::: {room}\n    options:\n      heading_level: 1\n"


def _parameter(parameter: Any, annotation: object) -> tuple[str, str, str, str]:
    """The row of one argument or option: its spellings, its type, its default, its help text."""
    option = parameter.param_type_name == "option"
    spellings = [*parameter.opts, *parameter.secondary_opts] if option else [parameter.name.upper()]
    default = "required" if parameter.required else ""
    if parameter.default not in (None, False, "", (), []):
        default = _code(str(parameter.default))
    return ", ".join(map(_code, spellings)), _type(annotation), default, _text(parameter.help or "")


def _type(annotation: object) -> str:
    """The type of a parameter in words: ``list[Path] | None`` is "path, several"."""
    if annotation is bool:
        return "flag"
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType] or [annotation]
    if get_origin(annotation) is list or get_origin(kinds[0]) is list:
        return f"{_type((get_args(kinds[0]) or kinds)[0])}, several"
    names = {"str": "text", "int": "integer", "float": "number", "Path": "path"}
    name = getattr(kinds[0], "__name__", str(kinds[0]))
    return names.get(name, name)


def _first_paragraph(function: Callable[..., object]) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


def _rows(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return ["| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in line) + " |" for line in lines]


def _code(text: str) -> str:
    return f"`{text}`"


def _text(text: str) -> str:
    """Text in which Markdown sees no HTML and no link."""
    return text.replace("<", "&lt;").replace("[", "\\[")


def _fenced(text: str, language: str) -> list[str]:
    return [f"```{language}", *text.strip().splitlines(), "```"]
