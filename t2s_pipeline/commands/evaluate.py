"""`t2s evaluate`: one system on one split, from questions to scores."""

from typing import Annotated

import typer

from t2s_pipeline.core.settings import Settings


def evaluate(
    system: Annotated[str, typer.Argument(help="zero-shot-mini, a run, <run>--<step>, or a foreign checkpoint.")],
    dataset: Annotated[str | None, typer.Option(help="By default the one that its run was trained on.")] = None,
    split: Annotated[str, typer.Option(help="val or test")] = "val",
    completions: Annotated[
        int,
        typer.Option(
            "--completions",
            "--draws",
            min=0,
            help="Also sample this many completions per question, for the view selective_risk; 0: none.",
        ),
    ] = 0,
    temperature: Annotated[float, typer.Option(help="Of those samples.")] = 1.0,
    max_questions: Annotated[int, typer.Option(min=0, help="Sample so many questions of a sample; 0: all.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Redo finished work.")] = False,
) -> None:
    """Completions, masks, scores and metrics; what stands is not done again.

    With --completions the system answers several times at a temperature, and how far its answers agree is measured too.
    """
    from t2s_pipeline.methods.sampling import Sampling
    from t2s_pipeline.steps.answers import Agree
    from t2s_pipeline.steps.evaluation import evaluate as run
    from t2s_pipeline.steps.runner import Runner
    from t2s_pipeline.steps.scores import Summarize
    from t2s_pipeline.systems.resolve import resolve
    from t2s_pipeline.worker.launcher import plain_launch

    settings = Settings.from_env()
    settings.require_worker()
    runner = Runner(settings, plain_launch(settings), fresh=fresh)
    answering = resolve(system, settings)
    dataset = dataset or answering.dataset
    run(runner, answering, dataset, split)
    runner.run(Summarize())
    if completions:
        sampling = Sampling(completions, temperature, max_questions=max_questions or None)
        runner.run(Agree(answering, dataset, split, sampling))
        print(f"""\nt2s sql "from selective_risk where system = '{system}'".""")
