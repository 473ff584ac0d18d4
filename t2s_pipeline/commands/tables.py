"""`t2s tables`: list the tables and views of the lake, or describe one."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def tables(
    name: Annotated[str | None, typer.Argument(help="A table or view, to show its columns.")] = None,
) -> None:
    """List the tables and views, or describe one."""
    if name is None:
        _list(Settings.from_env())
    else:
        _describe(Settings.from_env(), name)


def _list(settings: Settings) -> None:
    from t2s_pipeline.commands.printing import VisibleConsole, text_table
    from t2s_pipeline.lake.questions import questions
    from t2s_pipeline.lake.schema import TABLES
    from t2s_pipeline.lake.store import list_partitions

    console = VisibleConsole()
    listing = text_table(("table", "partitions", "one row is"))
    for table in TABLES.values():
        partitions = len(list_partitions(settings.lake, table))
        listing.add_row(table.name, str(partitions or "-"), table.meaning)
    console.print(listing)
    views = questions(settings)
    if views:
        listing = text_table(("view", "what it answers"))
        for view in views:
            listing.add_row(view.name, view.comment)
        console.print()
        console.print(listing)
    console.print('\nt2s tables NAME describes a table or view. t2s sql "from NAME limit 5" shows rows.', style="dim")


def _describe(settings: Settings, name: str) -> None:
    from rich.text import Text

    from t2s_pipeline.commands.printing import VisibleConsole, text_table
    from t2s_pipeline.core.errors import InputError
    from t2s_pipeline.lake.questions import PARTITION_MEANINGS, meaning, questions
    from t2s_pipeline.lake.schema import TABLES
    from t2s_pipeline.lake.views import query

    views = {view.name: view for view in questions(settings)}
    if name not in TABLES and name not in views:
        raise InputError(f"There is no table or view {name}: `t2s tables` lists them.")
    console = VisibleConsole()
    table = TABLES.get(name)
    console.print(Text(table.meaning if table else views[name].comment), style="bold")
    listing = text_table(("column", "type", "meaning"))
    for row in query(settings, f'DESCRIBE "{name}"').to_pylist():
        column = row["column_name"]
        words = {**PARTITION_MEANINGS, **table.meanings}[column] if table else meaning(views[name], column)
        partition = " (partition)" if table and column in table.partition_by else ""
        listing.add_row(Text(column), Text(row["column_type"]), Text(words + partition))
    console.print(listing)
    if not table:
        console.print(Text(views[name].sql.strip()), style="dim")
