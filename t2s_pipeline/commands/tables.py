"""`t2s tables`: what there is to ask about."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def tables(
    name: Annotated[str | None, typer.Argument(help="A table or view, to see its columns.")] = None,
) -> None:
    """List the tables and views, or describe one."""
    if name is None:
        _list_all(Settings.from_env())
    else:
        _describe(Settings.from_env(), name)


def _list_all(settings: Settings) -> None:
    from rich.console import Console
    from rich.table import Table

    from t2s_pipeline.lake.questions import questions
    from t2s_pipeline.lake.schema import TABLES
    from t2s_pipeline.lake.store import list_partitions

    console = Console()
    listing = Table("table", "partitions", "one row is", header_style="bold", box=None, pad_edge=False)
    for table in TABLES.values():
        partitions = len(list_partitions(settings.lake, table))
        listing.add_row(table.name, str(partitions or "-"), table.meaning)
    console.print(listing)
    asked = questions(settings)
    if asked:
        listing = Table("view", "what it answers", header_style="bold", box=None, pad_edge=False)
        for question in asked:
            listing.add_row(question.name, question.comment)
        console.print()
        console.print(listing)
    console.print('\nt2s tables NAME describes one; t2s sql "from NAME limit 5" shows rows.', style="dim")


def _describe(settings: Settings, name: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from t2s_pipeline.core.errors import InputError
    from t2s_pipeline.lake.questions import PARTITION_MEANINGS, meaning, questions
    from t2s_pipeline.lake.schema import TABLES
    from t2s_pipeline.lake.views import query

    asked = {question.name: question for question in questions(settings)}
    if name not in TABLES and name not in asked:
        raise InputError(f"There is no table or view {name}: `t2s tables` lists them.")
    console = Console()
    table = TABLES.get(name)
    console.print(Text(table.meaning if table else asked[name].comment), style="bold")
    listing = Table("column", "type", "meaning", header_style="bold", box=None, pad_edge=False)
    for row in query(settings, f'DESCRIBE "{name}"').to_pylist():
        column = row["column_name"]
        known = {**PARTITION_MEANINGS, **table.meanings} if table else {}
        words = known[column] if table else meaning(asked[name], column)
        partition = " (partition)" if table and column in table.partition_by else ""
        listing.add_row(Text(column), Text(row["column_type"]), Text(words + partition))
    console.print(listing)
    if not table:
        console.print(Text(asked[name].sql.strip()), style="dim")
