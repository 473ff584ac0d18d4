"""`t2s scenes`: list the scenes of the imagery folder, ask them the standing questions, and write out the objects."""

from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

FORMATS = ("gpkg", "geojson", "parquet")

scenes = typer.Typer(
    name="scenes",
    help="The scenes of the imagery folder (T2S_HOME/imagery or T2S_IMAGERY): list, ask, write out the objects.",
    invoke_without_command=True,
)


@scenes.callback()
def _list(context: typer.Context) -> None:
    """List the scenes of the imagery folder, and those that were there."""
    if context.invoked_subcommand is None:
        from t2s_pipeline.commands.scene_list import print_scenes

        print_scenes(Settings.from_env())


@scenes.command()
def answer(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENE…", help="The scenes. Default: all of the imagery folder.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Ask the scenes every standing question of T2S_HOME/questions.csv now, whatever its schedule.

    In the web UI this happens by itself. What was answered before is not repeated.
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.core.progress import StderrProgress
    from t2s_pipeline.steps.feed import answer_all

    settings = Settings.from_env()
    settings.require_worker()
    with recording_runner(settings, fresh, StderrProgress()) as runner:
        faults = answer_all(runner, names or ())
    if len(faults) > 1:
        for fault in faults:
            print(visible(fault))
        raise T2SError(f"{len(faults)} scenes could not be asked completely.")
    if faults:
        raise T2SError(faults[0])
    print('\nt2s sql "from objects_found"        t2s sql "from scenes_without_answer"')


@scenes.command()
def export(
    kind: Annotated[str, typer.Option("--format", help="gpkg, geojson or parquet (GeoParquet 1.1).")] = "gpkg",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file. Default: T2S_HOME/answers/objects.<format>.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Only the objects of this scene.")] = None,
    question: Annotated[
        str | None, typer.Option(help="Only the objects of this question, or of its question_id.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Only the objects of this system.")] = None,
) -> None:
    """Write the objects of all answers into one file: those of the view objects_found, with their outlines.

    The file has the CRS of the scenes if all have the same one, otherwise longitudes and latitudes (EPSG:4326).
    """
    from t2s_pipeline.scenes.collection import write_collection
    from t2s_pipeline.steps.scene_collection import collected_objects

    if kind not in FORMATS:
        raise InputError(f"--format {kind}: give one of {', '.join(FORMATS)}.")
    settings = Settings.from_env()
    path = home_expanded(out) if out is not None else settings.home / "answers" / f"objects.{kind}"
    if path.suffix.lower() != f".{kind}":
        raise InputError(f"--out {path.name}: a file of the format {kind} ends in .{kind}.")
    objects = collected_objects(settings, scene, question, system)
    if not objects.num_rows:
        raise InputError('There is no such object: `t2s sql "from objects_found"` lists what was found.')
    write_collection(path, objects)
    print(f"{objects.num_rows:,} objects: {path}")
