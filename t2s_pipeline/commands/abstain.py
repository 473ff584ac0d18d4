"""`t2s abstain`: choose from which agreement on a system's answers count, for a wanted risk."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def abstain(
    system: Annotated[str, typer.Argument(help="A system whose agreement was measured on the split.")],
    risk: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=0.999,
            help="The highest expected loss: the mean of 1 - IoU over all questions, 0 for an abstained one.",
        ),
    ] = 0.2,
    dataset: Annotated[str, typer.Option(help="The dataset, as `t2s doctor` names it.")] = "synthetic",
    split: Annotated[str, typer.Option(help="The split that the threshold is chosen on.")] = "val",
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Choose a threshold of agreement on a split (conformal risk control). Answers below it get the status abstained.

    The agreement must have been measured, there and on the splits to check: t2s evaluate SYSTEM --split SPLIT
    --completions 8.
    """
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.risk import ControlRisk

    with recording_runner(Settings.from_env(), fresh) as runner:
        runner.run(ControlRisk(system, dataset, split, risk))
    print(f"""\nt2s sql "from risk_coverage where system = '{system}'"; each answer: "from answers_with_abstention".""")
