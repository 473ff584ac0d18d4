"""The worker's command line. It reports through Dagster Pipes if Dagster started it.

    python -m t2s_pipeline.worker train --experiment think2seg-mini [--set grpo.steps=10]
    python -m t2s_pipeline.worker train --experiment think2seg-rs-3b --set compute.processes=4 --set compute.nodes=2
                                        --node-rank 1 --rendezvous first-node:29500
    python -m t2s_pipeline.worker generate --system zero-shot-mini --dataset synthetic --split val
    python -m t2s_pipeline.worker segment  --system zero-shot-mini --dataset synthetic --split val
    python -m t2s_pipeline.worker judge-labels --segmenter sam2-mini --dataset synthetic --split val
    python -m t2s_pipeline.worker serve        (for a launcher: it runs the commands that the launcher sends)

Without Dagster it shows its progress on stderr. A fault that the user can correct gives one sentence on stderr and
exit code 1. SIGTERM stops it cleanly with exit code 143. No incomplete file is left under a final name.
"""

import argparse
import atexit
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from t2s_pipeline.core.distribution.pools import ray_extra
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.progress import (
    NoProgress,
    PipesProgress,
    Progress,
    StderrProgress,
    is_first_rank,
    launched_by_dagster,
)
from t2s_pipeline.core.quick_imports import quick_imports
from t2s_pipeline.core.settings import RAY_ADDRESS, Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.training.continuation import settings_to_train
from t2s_pipeline.worker import tether
from t2s_pipeline.worker.computing import choose_device, prepare, prepare_training, team_of
from t2s_pipeline.worker.failures import ERROR_PREFIX
from t2s_pipeline.worker.options import SERVE, worker_parser
from t2s_pipeline.worker.serve import serve
from t2s_pipeline.worker.stopping import GRACE_SECONDS

TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM came. It is not an ``Exception``, so that no handler of errors catches it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. For a training with several ranks this process becomes torchrun."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = worker_parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _terminate)
    tether.hold(GRACE_SECONDS)
    try:
        return _guarded(lambda: serve(run_command)) if options.command == SERVE else run_command(arguments)
    finally:
        signal.signal(signal.SIGTERM, before)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    options = worker_parser().parse_args(arguments)
    names_home = options.home is not None and "T2S_HOME" not in os.environ
    if names_home:
        # The file with the models is there.
        os.environ["T2S_HOME"] = str(_home(options))
    try:
        return _guarded(lambda: _run(options, arguments))
    finally:
        if names_home:
            del os.environ["T2S_HOME"]


def _run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    if options.command == "train" and not options.device and (address := os.environ.get(RAY_ADDRESS)):
        _train_on_cluster(options, address)
        return 0
    if (command := _torchrun(arguments)) is not None:
        tether.announce_other_program()
        os.execv(command[0], command)
    with _progress() as progress:
        COMMANDS[options.command](options, progress)
    return 0


def _guarded(run: Callable[[], int]) -> int:
    """The exit code of ``run``. A fault of the user and a request to stop become one line on stderr."""
    try:
        return run()
    except T2SError as fault:
        # Always one line: the launcher takes the last line as the sentence.
        print(f"{ERROR_PREFIX}{' '.join(str(fault).split())}", file=sys.stderr)
        return 1
    except (Terminated, KeyboardInterrupt):
        print("stopped; finished work is kept", file=sys.stderr)
        return TERMINATED


def _terminate(number: int, frame: FrameType | None) -> None:
    # A second SIGTERM would interrupt the cleaning up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


@contextmanager
def _progress() -> Iterator[Progress]:
    if not is_first_rank():
        yield NoProgress()
    elif launched_by_dagster():
        from dagster_pipes import (
            PipesContext,
            PipesDefaultContextLoader,
            PipesDefaultMessageWriter,
            PipesMappingParamsLoader,
        )

        # Not ``open_dagster_pipes``: it opens one session per process, and a process that serves has one per command.
        with PipesContext(
            PipesMappingParamsLoader(os.environ), PipesDefaultContextLoader(), PipesDefaultMessageWriter()
        ) as context:
            yield PipesProgress(context)
    else:
        yield StderrProgress()


def _train(options: argparse.Namespace, progress: Progress) -> None:
    settings = _experiment(options)
    choose_device(options, settings.compute.ranks)
    device = prepare_training(options, settings.compute.ranks)
    with quick_imports():
        from t2s_pipeline.training.run import train

    train(settings, _home(options), options.fingerprint, progress, device, options.fresh, options.code)


def _train_on_cluster(options: argparse.Namespace, address: str) -> None:
    """Train in processes of a Ray cluster. Their number is that of the ranks of all machines that the run names."""
    with ray_extra():
        from t2s_pipeline.worker.ray_training import train_on_cluster

    with _progress() as progress:
        train_on_cluster(options, _experiment(options), _home(options), address, progress)


def _experiment(options: argparse.Namespace) -> Experiment:
    """The settings of a training: with those that are stored with the run, if it has begun."""
    settings = Settings.of_worker(_home(options))
    return settings_to_train(settings, options.experiment, options.overrides, options.fresh)


def _export(options: argparse.Namespace, progress: Progress) -> None:
    prepare(options)
    with quick_imports():
        from t2s_pipeline.training.export import export

    checkpoint = export(_home(options), options.checkpoint, options.folder, options.dtype, not options.keep_adapters)
    progress.say(f"{checkpoint.name}, step {checkpoint.step}, is in {options.folder}")


def _torchrun(arguments: Sequence[str]) -> list[str] | None:
    """The command that starts the ranks of a training, each with these arguments; None if one process is enough.

    DeepSpeed needs this command even for one rank.

    Raises:
        InputError: if there are several nodes and no address where they meet.
    """
    options = worker_parser().parse_args(arguments)
    if options.command != "train" or "RANK" in os.environ:
        return None
    compute = _experiment(options).compute
    if compute.ranks == 1 and not compute.zero:
        return None
    meeting = ["--standalone"]
    if compute.nodes > 1:
        host, _, port = options.rendezvous.partition(":")
        if not host or not port.isdecimal():
            raise InputError(
                f"{compute.nodes} nodes meet at node 0: give its address on every node with --rendezvous HOST:PORT."
            )
        meeting = ["--node-rank", str(options.node_rank), "--master-addr", host, "--master-port", port]
    size = ["--nnodes", str(compute.nodes), "--nproc-per-node", str(compute.processes), "--max-restarts", "0"]
    return [
        sys.executable,
        "-u",
        "-m",
        "torch.distributed.run",
        *size,
        *meeting,
        "-m",
        "t2s_pipeline.worker",
        *arguments,
    ]


def _system(options: argparse.Namespace) -> System:
    """The system that the launcher resolved; without it, the system of the given name."""
    if options.resolved:
        return System.from_json(json.loads(options.resolved))
    return resolve(options.system, Settings.of_worker(_home(options)))


def _generate(options: argparse.Namespace, progress: Progress) -> None:
    system = _system(options)
    if options.prompter:
        system = replace(system, prompter=options.prompter)
    team = team_of(options, _home(options), text_only=True)
    with quick_imports():
        from t2s_pipeline.evaluation.generate import generate_completions

    generate_completions(_home(options), system, options.dataset, options.split, options.fingerprint, progress, team)


def _segment(options: argparse.Namespace, progress: Progress) -> None:
    system = _system(options)
    team = team_of(options, _home(options), segmenter=system.segmenter)
    with quick_imports():
        from t2s_pipeline.evaluation.segment import segment_completions

    segment_completions(_home(options), system, options.dataset, options.split, options.fingerprint, progress, team)


def _judge(options: argparse.Namespace, progress: Progress) -> None:
    team = team_of(options, _home(options), segmenter=options.segmenter)
    with quick_imports():
        from t2s_pipeline.evaluation.label_quality import judge_labels

    what = (options.segmenter, options.dataset, options.split)
    judge_labels(_home(options), *what, options.fingerprint, progress, team, options.rounds, options.wide)


def _agree(options: argparse.Namespace, progress: Progress) -> None:
    system = _system(options)
    sampling = Sampling.from_json(options.sampling)
    team = team_of(options, _home(options))
    with quick_imports():
        from t2s_pipeline.evaluation.agreement import measure_agreement

    split = (options.dataset, options.split)
    measure_agreement(_home(options), system, *split, sampling, options.fingerprint, progress, team)


def _ask(options: argparse.Namespace, progress: Progress) -> None:
    team = team_of(options, _home(options), only_here=True)
    with quick_imports():
        from t2s_pipeline.scenes.worker import answer_requests

    answer_requests(options.requests, progress, prepare(options), team)


def _home(options: argparse.Namespace) -> Path:
    return home_expanded(options.home).resolve() if options.home else Settings.from_env().home


COMMANDS: dict[str, Callable[[argparse.Namespace, Progress], None]] = {
    "generate": _generate,
    "segment": _segment,
    "agree": _agree,
    "judge-labels": _judge,
    "ask": _ask,
    "train": _train,
    "export": _export,
}
"""What each command of ``worker_parser`` runs."""


def end(code: int) -> NoReturn:
    """End this process, one rank of several at once after its cleaning up.

    Libraries have threads of their own. At the end of Python these and what they use go in no fixed order, and now and
    then a rank that had finished its run was aborted: "terminate called without an active exception".
    """
    if "RANK" in os.environ:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    end(main())
