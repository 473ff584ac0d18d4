"""The options of the worker's commands."""

import argparse
from pathlib import Path

SERVE = "serve"
"""The command that runs the commands which its launcher sends, one after the other."""

THREADS = "T2S_WORKER_THREADS"
"""The environment variable with the number of threads that one command computes with."""


def worker_parser() -> argparse.ArgumentParser:
    """The parser of the worker's command line; ``command`` in its result is the name of the command."""
    parser = argparse.ArgumentParser(prog="python -m t2s_pipeline.worker", description="Work that loads a model.")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="{generate,segment,agree,judge-labels,ask,train,export,serve}",
    )
    commands.add_parser(SERVE, help="run commands that a launcher sends over standard input")
    for name, text, add_options in (
        ("generate", "let a system answer the questions of a split", _generate_options),
        ("segment", "segment a system's answers", _system_options),
        ("agree", "let a system answer several times, and measure the agreement", _agree_options),
        ("judge-labels", "segment with the labels of a split as prompts", _judge_options),
        ("ask", "answer questions about scenes", _ask_options),
        ("train", "train a prompter with GRPO", _train_options),
        ("export", "write a checkpoint as a folder for plain transformers", _export_options),
    ):
        command = commands.add_parser(name, help=text)
        add_options(command)
        command.add_argument("--home", type=Path, help="T2S_HOME; default: the environment's, else ./data")
        command.add_argument("--fingerprint", default="", help="of everything that the work depends on")
        command.add_argument("--device", help="cpu or cuda[:n]; default: a GPU if there is one")
    return parser


def _split_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dataset", required=True)
    command.add_argument("--split", required=True)


def _system_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--system", required=True, help="for example zero-shot-mini")
    resolved = "the system as its launcher resolved it from the name"
    command.add_argument("--resolved", default="", metavar="JSON", help=resolved)
    _split_options(command)


def _generate_options(command: argparse.ArgumentParser) -> None:
    _system_options(command)
    prompter = "folder of another prompter, which answers under the system's name"
    command.add_argument("--prompter", metavar="PATH", help=prompter)


def _agree_options(command: argparse.ArgumentParser) -> None:
    _system_options(command)
    settings = "completions, temperature, seed, max_questions"
    command.add_argument("--sampling", default="{}", metavar="JSON", help=settings)


def _judge_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--segmenter", required=True, help="for example sam2-mini")
    _split_options(command)
    rounds = "rounds of the search around the labels; 0 means no search"
    command.add_argument("--rounds", type=int, default=1, help=rounds)
    command.add_argument("--wide", action="store_true", help="also rotated boxes, chains and the best kind per object")


def _ask_options(command: argparse.ArgumentParser) -> None:
    requests = "file with a system and what it is asked (scenes/request.py)"
    command.add_argument("--requests", type=Path, required=True, metavar="FILE", help=requests)


def _train_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--experiment", required=True, help="for example think2seg-mini, or think2seg-mini-seed1")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    command.add_argument("--code", default="", metavar="HASH", help="fingerprint of the training code, to record it")
    fresh = "start again from the base, even if the run has checkpoints"
    command.add_argument("--fresh", action="store_true", help=fresh)
    rank = "number of this node among compute.nodes; node 0 reports"
    command.add_argument("--node-rank", type=int, default=0, help=rank)
    rendezvous = "address of node 0, where the nodes meet"
    command.add_argument("--rendezvous", default="", metavar="HOST:PORT", help=rendezvous)


def _export_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("checkpoint", metavar="RUN[@STEP]")
    command.add_argument("folder", type=Path)
    command.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    adapters = "LoRA: do not merge the adapters into the base"
    command.add_argument("--keep-adapters", action="store_true", help=adapters)
