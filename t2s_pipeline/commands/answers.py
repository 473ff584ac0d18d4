"""How `t2s ask` shows answers in the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from t2s_pipeline.methods.system import System
    from t2s_pipeline.steps.scene_answers import SceneAnswer, SceneOptions, SceneQuestion

MOST_ROWS = 20
"""Objects that are listed; the file has all."""


def answer_and_print(
    settings: Settings, system: "System", asked: "Sequence[SceneQuestion]", options: "SceneOptions"
) -> None:
    """Answer questions about scenes and print each answer.

    Raises:
        T2SError: after everything else, if an answer is missing or incomplete.
    """
    from t2s_pipeline.commands.printing import wide_console
    from t2s_pipeline.steps.scene_answers import answer_scenes
    from t2s_pipeline.worker.launcher import plain_launch

    console = wide_console()
    faults: list[str] = []
    for answer in answer_scenes(settings, plain_launch(settings), system, asked, options):
        if answer.fault:
            faults.append(answer.fault)
            continue
        _print(console, answer, options)
        failed = answer.result.failed() if answer.result else []
        if failed:
            faults.append(
                f"{len(failed)} of {len(answer.result.views if answer.result else ())} views of {answer.asked.path} "
                f"failed and are nodata in the mask ({failed[0].detail}): the same command asks them again."
            )
    if len(faults) > 1:
        for fault in faults:
            console.print(visible(fault), style="red", markup=False, highlight=False, soft_wrap=True)
        raise T2SError(f"{len(faults)} of {len(asked)} answers are missing or incomplete.")
    if faults:
        raise T2SError(faults[0])


def _print(console: "Console", answer: "SceneAnswer", options: "SceneOptions") -> None:
    from t2s_pipeline.commands.printing import print_indented

    title = answer.asked.path.name + (f": {answer.asked.question}" if answer.asked.question else "")
    console.print(f"\n{visible(title)}", style="bold", markup=False, highlight=False, soft_wrap=True)
    for note in answer.notes:
        print_indented(console, visible(note), style="yellow")
    if answer.result is None:
        print_indented(console, "already answered; --fresh repeats it")
    else:
        _print_views(console, answer)
        _print_objects(console, answer)
    for name in ("mask.tif", options.objects_name, "panel.png", "answer.json"):
        print_indented(console, str(answer.asked.folder / name), style="dim")


def _print_views(console: "Console", answer: "SceneAnswer") -> None:
    """The thought about the scene as a whole, and answers that could not be used."""
    from t2s_pipeline.commands.printing import print_indented

    views = answer.result.views if answer.result else ()
    if views and views[0].thought:
        print_indented(console, f"“{visible(views[0].thought.strip())}”", style="italic")
    unreadable = [view for view in views if view.status == "unreadable"]
    if unreadable:
        of = f"{len(unreadable)} of {len(views)} answers" if len(views) > 1 else "The answer"
        print_indented(console, visible(f"{of} could not be read ({unreadable[0].detail})."), style="yellow")


def _print_objects(console: "Console", answer: "SceneAnswer") -> None:
    from t2s_pipeline.commands.printing import print_indented, text_table

    if not answer.features:
        print_indented(console, "no object found")
        return
    sampled = any(feature.agreement is not None for feature in answer.features)
    headings = ["object", "area", "confidence", *(["agreement"] if sampled else [])]
    table = text_table(headings, right=headings)
    for number, feature in enumerate(answer.features[:MOST_ROWS], start=1):
        area = f"{feature.pixels:,} px" if feature.area_m2 is None else _area(feature.area_m2)
        shares = [f"{feature.confidence:.2f}"]
        if sampled:
            shares.append("" if feature.agreement is None else f"{feature.agreement:.2f}")
        table.add_row(str(number), area, *shares)
    console.print(table)
    if len(answer.features) > MOST_ROWS:
        print_indented(console, f"and {len(answer.features) - MOST_ROWS} more", style="dim")


def _area(square_metres: float) -> str:
    return f"{square_metres:,.1f} m²" if square_metres < 1e6 else f"{square_metres / 1e6:,.2f} km²"
