"""`t2s lake`: care for the files of the lake."""

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

lake = typer.Typer(name="lake", no_args_is_help=True, help="Care for the files of the lake.")


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


@lake.command()
def verify() -> None:
    """Read every file of the lake and compare it with its digests; name what is damaged.

    The exit code is 1 if something is damaged.
    """
    from t2s_pipeline.lake.verification import verify as verify_lake

    settings = Settings.from_env()
    state = verify_lake(settings.lake)
    for part in state.damaged:
        print(visible(f"{part.path}: {part.reason}"))
    print(f"{state.files:,} files with {state.size / 1e6:,.1f} MB in {settings.lake}, {len(state.damaged):,} damaged")
    if state.without_digests:
        print(f"{state.without_digests:,} files have no digests: `t2s lake upgrade` adds them.")
    if state.damaged:
        raise InputError("The lake is damaged: `t2s lake repair` removes what is named and says how to make it again.")


@lake.command()
def repair() -> None:
    """Move what is damaged out of the lake, to T2S_HOME/damaged, and say which commands make it again.

    On an object store, it also removes objects that belonged to the lake more than a day ago, or never did.
    """
    from t2s_pipeline.lake.verification import remove_unused, set_aside
    from t2s_pipeline.lake.verification import verify as verify_lake
    from t2s_pipeline.steps.step import LakePartition

    settings = Settings.from_env()
    damaged = verify_lake(settings.lake).damaged
    removed = remove_unused(settings.lake)
    if removed:
        print(f"Removed {removed:,} objects that no manifest has named for a day.")
    if not damaged:
        print(f"Nothing in {settings.lake} is damaged.")
        return
    commands: dict[str, None] = {}
    for part, place in zip(damaged, set_aside(settings, damaged), strict=True):
        print(visible(f"{part.path}: {part.reason}. Moved to {place}."))
        if part.table is not None and part.partition is not None:
            commands[LakePartition(part.table, part.partition).command] = None
    print("These commands make it again. What is still good is not repeated:" if commands else "No table was damaged.")
    for command in commands:
        print(visible(f"  {command}"))
