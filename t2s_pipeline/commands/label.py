"""`t2s label`: make the pseudo-labels that rival methods learn from."""

from typing import Annotated

import typer

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings


def label(
    method: Annotated[
        list[str] | None, typer.Argument(help="seg-zero, vision-reasoner, remote-reasoner. Default: all of them.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="The dataset, as `t2s doctor` names it.")] = "synthetic",
    split: Annotated[str, typer.Option(help="The split: train, val or test.")] = "train",
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.KEY=VALUE", help="Change a setting: vision-reasoner.eps=7."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Make boxes and points of every mask of a split, as each method makes them. A rival's training needs them."""
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.methods.registry import methods_with_labels
    from t2s_pipeline.steps.labels import MakeLabels

    labellings = list(dict.fromkeys(each.labels for each in methods_with_labels().values()))
    methods = method or labellings
    if unknown := [name for name in methods if name not in labellings]:
        raise InputError(f"There is no labelling {unknown[0]!r}. There are: {', '.join(labellings)}.")
    for setting in override or ():
        if setting.partition(".")[0] not in methods:
            raise InputError(f"--set {setting} must begin with a method: {', '.join(methods)}.")
    with recording_runner(Settings.from_env(), fresh) as runner:
        for name in methods:
            prefix = f"{name}."
            settings = [each.removeprefix(prefix) for each in override or () if each.startswith(prefix)]
            runner.run(MakeLabels(name, dataset, split, tuple(settings)))
    print(f"""\nt2s sql "from labels_per_sample where dataset = '{dataset}' limit 5"; t2s judge --dataset {dataset}""")
