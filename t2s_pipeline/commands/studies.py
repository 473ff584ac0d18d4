"""`t2s studies`: the paper's tables in miniature and the studies beyond it, from painted scenes to a page."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import REPO, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from t2s_pipeline.methods.miniature_tables import MiniatureTable, StudySystem
    from t2s_pipeline.methods.system import System
    from t2s_pipeline.steps.runner import Runner

studies = typer.Typer(
    name="studies", no_args_is_help=True, help="The paper's tables in miniature, and studies beyond the paper."
)

TRAINING_SECONDS, EVALUATION_SECONDS = 110, 40
"""What a run and an evaluation of one split take on two idle cores, about."""

Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="TABLE", help="This table only, as `t2s studies plan` names it.")
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs per experiment: seeds 0, 1, …")]
SHARE = typer.Option(min=0.001, max=1.0, help="Share of the scenes, for tests.", hidden=True)
Page = Annotated[
    Path,
    typer.Option(
        "--out", show_default=False, help="The file of the page; docs/miniature_tables.md if it is not given."
    ),
]
PAGE = REPO / "docs" / "miniature_tables.md"
KEPT_HELP = "The folder of `t2s studies keep`, where what is there counts as done; docs/studies if it is not given."
Kept = Annotated[Path, typer.Option("--kept", show_default=False, help=KEPT_HELP)]
KEPT = REPO / "docs" / "studies"


@studies.command()
def paint(share: Annotated[float, SHARE] = 1.0) -> None:
    """Paint the datasets of the studies and read them: synthetic-studies, -fine, -slender and -referring."""
    from t2s_pipeline.commands.catalog import recording_runner

    settings = Settings.from_env()
    with recording_runner(settings) as runner:
        _paint(runner, share)


@studies.command()
def plan(seeds: Seeds = 3, only: Only = None, results: Kept = KEPT) -> None:
    """List the tables with their systems, and about how long `t2s studies run` takes on two idle cores."""
    everything = _work(_tables(only), seeds)
    work = _without_kept(everything, results)
    for name, table in _tables(only).items():
        print(f"{name}: {table.title}, on {table.dataset}")
        for system in table.systems:
            print(f"  {system.name}")
    runs = sum(bool(system.experiment) for system, _, _ in work)
    trained = {(system.experiment, system.name, seed) for system, _, seed in work if system.experiment}
    seconds = len(trained) * TRAINING_SECONDS + len(work) * EVALUATION_SECONDS
    print(f"{len(trained)} trainings and {len(work)} evaluations ({runs} of trained systems): about {_hours(seconds)}.")
    if len(work) < len(everything):
        print(f"The results of {len(everything) - len(work)} evaluations are in {results}. They are not repeated.")
    print("What is finished is not repeated. `t2s studies run` starts it; it can be stopped and started again.")


@studies.command()
def run(
    seeds: Seeds = 3,
    only: Only = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of every training, e.g. grpo.steps=3."),
    ] = None,
    share: Annotated[float, SHARE] = 1.0,
    out: Page = PAGE,
    results: Kept = KEPT,
) -> None:
    """Paint, train, evaluate and write the page. What is finished is not repeated; a failed study does not stop it."""
    from t2s_pipeline.commands.catalog import recording_runner
    from t2s_pipeline.steps.scores import Publish, Summarize

    settings = Settings.from_env()
    settings.require_worker()
    plan(seeds, only, results)
    failures: set[str] = set()
    with recording_runner(settings) as runner:
        _paint(runner, share)
        work = _without_kept(_work(_tables(only), seeds), results)
        # Seed by seed, so that whoever stops it has all systems with the first seeds.
        for seed in range(seeds):
            failures |= _run_seed(runner, [item for item in work if item[2] == seed], tuple(override or ()))
        runner.run(Summarize())
        runner.run(Publish())
    page(seeds, out, results)
    if failures:
        raise InputError(f"{len(failures)} systems failed, the others are done: {', '.join(sorted(failures))}.")


@studies.command()
def keep(seeds: Seeds = 3, results: Kept = KEPT) -> None:
    """Copy the results of the studies into a folder, so that another machine or another day goes on with the rest."""
    from t2s_pipeline.reporting.kept_studies import keep_results

    count = keep_results(Settings.from_env().lake, results, seeds)
    print(f"{count} results were added to {results}.")


@studies.command()
def page(seeds: Seeds = 3, out: Page = PAGE, results: Kept = KEPT) -> None:
    """Write the page with all tables from the scores in the lake, and those that were kept."""
    from t2s_pipeline.core.atomic_files import atomic_file
    from t2s_pipeline.reporting.miniature_tables import miniature_tables

    text = miniature_tables((Settings.from_env().lake, results), range(seeds))
    with atomic_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"The page is {out}.")


def _tables(only: list[str] | None) -> "dict[str, MiniatureTable]":
    from t2s_pipeline.methods.miniature_tables import MINIATURE_TABLES

    unknown = [name for name in only or () if name not in MINIATURE_TABLES]
    if unknown:
        raise InputError(f"There is no table {unknown[0]!r}. There are: {', '.join(MINIATURE_TABLES)}.")
    return {name: table for name, table in MINIATURE_TABLES.items() if not only or name in only}


def _work(tables: "dict[str, MiniatureTable]", seeds: int) -> "list[tuple[StudySystem, str, int]]":
    """Every system, dataset and seed, each once."""
    work: dict[tuple[str, str], tuple[StudySystem, str, int]] = {}
    for table in tables.values():
        for system in table.systems:
            for seed in range(seeds):
                work.setdefault((system.seeded(seed), table.dataset), (system, table.dataset, seed))
    return sorted(work.values(), key=lambda item: item[2])


def _without_kept(work: "list[tuple[StudySystem, str, int]]", results: Path) -> "list[tuple[StudySystem, str, int]]":
    from t2s_pipeline.reporting.kept_studies import has_result

    return [(system, dataset, seed) for system, dataset, seed in work if not has_result(results, system, dataset, seed)]


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds > 3600 else f"{seconds / 60:.0f} minutes"


def _paint(runner: "Runner", share: float) -> None:
    """Write the datasets, store where they are, read every split and that of the embedded scenes, and make labels."""
    from t2s_pipeline.datasets.catalog import add_benchmark, add_dataset, find_dataset
    from t2s_pipeline.datasets.synthetic.layout import write_scenes
    from t2s_pipeline.datasets.synthetic.studies import COUNTS, REFERRING, write_studies
    from t2s_pipeline.methods.registry import methods_with_labels
    from t2s_pipeline.methods.shared_settings import EMBEDDED_DATASET
    from t2s_pipeline.steps.files import ReadTables
    from t2s_pipeline.steps.labels import MakeLabels

    settings = runner.settings
    if not (settings.scenes / "complete.json").is_file():
        counts = {split: max(1, round(share * count)) for split, count in COUNTS.items()}
        write_scenes(settings.scenes, train=counts["train"], val=counts["val"], test=counts["test"])
    names = [EMBEDDED_DATASET]
    for name, folder in write_studies(settings.scenes.parent / "studies", share).items():
        if name == REFERRING:
            add_benchmark(settings, name, folder)
        else:
            name = add_dataset(settings, folder)
        names.append(name)
    for name in names:
        for split in find_dataset(settings, name).splits:
            runner.run(ReadTables(name, split, accept_loss=True))
    for method in methods_with_labels().values():
        runner.run(MakeLabels(method.labels, EMBEDDED_DATASET, "train"))


def _run_seed(runner: "Runner", work: "list[tuple[StudySystem, str, int]]", changes: tuple[str, ...]) -> set[str]:
    """Train and evaluate the systems of a seed. Trainings, and then evaluations, are computed side by side.

    Returns:
        The names of the systems that failed.
    """
    from t2s_pipeline.methods.miniature_tables import TEST
    from t2s_pipeline.steps.evaluation import evaluate, segments_on_one_core
    from t2s_pipeline.steps.training import Train
    from t2s_pipeline.worker.launcher import training_with
    from t2s_pipeline.worker.side_by_side import side_by_side

    failures: set[str] = set()

    def failed(name: str, fault: T2SError) -> None:
        print(f"{name} failed: {fault}")
        failures.add(name)

    def attempt(name: str, what: "Callable[[], object]") -> None:
        try:
            what()
        except T2SError as fault:
            failed(name, fault)

    def together(jobs: "Iterable[tuple[str, Callable[[], object]]]", share_cores: bool = True) -> None:
        side_by_side([partial(attempt, *job) for job in jobs], lambda _: None, share_cores)

    runs = {system.seeded(seed): system.run(seed) for system, _, seed in work if system.experiment}
    # One thread each, also if one is left: the last bits of weights depend on it.
    with training_with(1):
        together((name, partial(runner.run, Train(run, changes))) for name, run in runs.items())
    answering = []
    for system, dataset, seed in work:
        if system.seeded(seed) not in failures:
            try:
                answering.append((_answering(runner.settings, system, seed), dataset))
            except T2SError as fault:
                failed(system.seeded(seed), fault)
    small = all(segments_on_one_core(item) for item, _ in answering)
    together(((item.name, partial(evaluate, runner, item, dataset, TEST)) for item, dataset in answering), small)
    return failures


def _answering(settings: Settings, system: "StudySystem", seed: int) -> "System":
    """The system as it answers.

    Raises:
        T2SError: if its run has no checkpoint.
    """
    from dataclasses import replace

    from t2s_pipeline.systems.resolve import resolve

    name = system.seeded(seed)
    if system.overrides:
        return replace(resolve(name.partition("+")[0], settings, system.overrides), name=name)
    return resolve(name, settings)
