"""The benchmarks of this room run, at a size of seconds, and what they compare agrees."""

import json

import pytest

pytestmark = pytest.mark.worker
pytest.importorskip("torch")

from tests.benchmarks import generation, parser, reward  # noqa: E402


def last_line(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_both_ways_of_the_reward_agree_and_ours_runs_the_network_less(capsys):
    reward.main(["--segmenter", "sam2-mini", "--side", "168", "--completions", "6", "--repeat", "0.5", "--times", "1"])
    found = last_line(capsys)
    assert found["largest_reward_difference"] < 1e-3 and found["rewards_differ"] > 1
    assert found["encoder_calls"] == 1 and found["objects_decoded"] < found["objects"]
    # How long both take depends on what else the machine does, so nothing is claimed about it here.
    assert found["ratio"] > 0 and found["share_of_limit"] > 0 and found["peak_mb"] > 0


def test_the_reward_benchmark_measures_call_sizes_and_the_cache(capsys):
    small = ["--segmenter", "sam2-mini", "--side", "168", "--completions", "3", "--times", "1"]
    reward.main([*small, "--at-once", "1", "4"])
    assert set(last_line(capsys)["seconds"]) == {"1", "4"}
    reward.main([*small, "--cache"])
    assert last_line(capsys)["file_mb"] > 0.05


def test_the_parser_benchmark_meets_every_kind_of_answer(capsys):
    parser.main(["--answers", "300"])
    found = last_line(capsys)
    assert set(found["per_second_by_kind"]) == {"valid", "damaged", "hostile"} and found["per_second"] > 0


def test_the_generation_benchmark_counts_tokens(capsys):
    generation.main(["--model", "tiny", "--questions", "8", "--batch", "8", "--new-tokens", "4"])
    found = last_line(capsys)
    assert found["transformers_tokens_per_second"] > 0 and found["ratio"] > 0 and found["different_answers"] == 0
