"""`t2s evaluate`: evaluate one system on one split, from questions to scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings

AnsweringChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change how the system answers: prompter (zero-shot systems only), segmenter, recipe.*, generation.*. A "
        "model's name or path. The results replace those of the same name. compute.devices=all|N sets how many devices "
        "answer. Can be repeated.",
    ),
]

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Answer on a Ray cluster: http://HEAD:8265, or HOST:6379 on one of its machines. "
        "Default: T2S_RAY_ADDRESS.",
    ),
]

_DEVICES = "compute.devices"


def computing(settings: Settings, overrides: Sequence[str], ray: str | None) -> tuple[Settings, list[str]]:
    """The settings with the devices that overrides and ``--ray`` ask for, and the other overrides."""
    rest = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key.strip() == _DEVICES:
            settings = replace(settings, devices=value.strip())
        else:
            rest.append(override)
    return (settings if ray is None else replace(settings, ray_address=ray)), rest


def evaluate(
    system: Annotated[
        str,
        typer.Argument(
            help="A system: zero-shot-mini, released-seg-zero-7b, a run, <run>--<step>, or a checkpoint in the watched "
            "folder."
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option(help="The dataset. Default: the one that the system was trained on.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split: val or test.")] = "val",
    completions: Annotated[
        int,
        typer.Option(
            "--completions",
            min=0,
            help="Also sample this number of completions per question, for the view selective_risk.",
        ),
    ] = 0,
    temperature: Annotated[float, typer.Option(help="Sampling temperature of these answers.")] = 1.0,
    max_questions: Annotated[
        int, typer.Option(min=0, help="Questions per sample that are answered repeatedly. 0: all.")
    ] = 1,
    template: Annotated[
        Path | None,
        typer.Option(
            help="A TOML or JSON file with the text to ask with in place of our instruction: `user` with {Question}, "
            "perhaps `system`. For released models that were trained on another text."
        ),
    ] = None,
    override: AnsweringChanges = None,
    ray: RayAddress = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Compute completions, masks, scores and metrics of a system. Finished steps are not repeated.

    With --completions, the system also answers each question several times at a temperature, and the agreement of these
    answers is measured.
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.methods.sampling import Sampling
    from t2s_pipeline.steps.answers import Agree
    from t2s_pipeline.steps.evaluation import evaluate as run
    from t2s_pipeline.steps.scores import Summarize
    from t2s_pipeline.systems.resolve import resolve

    settings, changes = computing(Settings.from_env(), override or (), ray)
    settings.require_worker()
    answering = resolve(system, settings, changes).asked_with(template and home_expanded(template))
    dataset = dataset or answering.dataset
    with recording_runner(settings, fresh) as runner:
        run(runner, answering, dataset, split)
        runner.run(Summarize())
        if completions:
            sampling = Sampling(completions, temperature, max_questions=max_questions or None)
            runner.run(Agree(answering, dataset, split, sampling))
    if completions:
        print(f"""\nt2s sql "from selective_risk where system = '{system}'".""")
