"""`t2s lake`: care for the files of the lake."""

import typer

from t2s_pipeline.core.settings import Settings

lake = typer.Typer(name="lake", no_args_is_help=True, help="Care for the files of the lake.")


@lake.callback()
def _root() -> None:
    """Keep `upgrade` a command of its own, also while it is the only one."""


@lake.command()
def upgrade() -> None:
    """Bring a lake that an earlier release wrote up to this release's tables.

    No row is lost, and what was finished stays finished. An upgrade that is stopped goes on when it is run again.
    """
    from collections import Counter

    from t2s_pipeline.lake.upgrade import upgrade as upgrade_lake

    settings = Settings.from_env()
    upgraded = upgrade_lake(settings)
    if not upgraded:
        print(f"{settings.lake} is up to date.")
        return
    partitions, rows = Counter[str](), Counter[str]()
    for item in upgraded:
        partitions[item.table] += 1
        rows[item.table] += item.rows
    for table, count in partitions.items():
        print(f"{table}: upgraded {count} partition{'s' if count > 1 else ''}, {rows[table]:,} rows")
    if (settings.home / "results.duckdb").exists():
        print("results.duckdb still has the former columns: `t2s database` builds it again.")
