"""A benchmark is one object; its names follow one rule, and what decides how it is read is known."""

from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.phrases import PhraseFiles
from t2s_pipeline.datasets.registry import BENCHMARKS, dataset_at, published_rule, published_samples
from tests.data.make_rrsis_d import HERE as RRSIS_D


@pytest.mark.parametrize("name", ["", "My-Set", "a_b", "a--b", "-a", "a.b"])
def test_a_name_that_would_be_no_partition_or_variable_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a benchmark"):
        Benchmark(name=name, reader=PhraseFiles("images", "masks"), layout="images/")


def test_the_environment_variable_of_a_name_leads_back_to_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for benchmark in BENCHMARKS.values():
        monkeypatch.setenv(benchmark.root_variable, str(tmp_path / benchmark.name))
    roots = Settings.from_env().roots
    assert {name: roots[name] for name in BENCHMARKS} == {name: tmp_path / name for name in BENCHMARKS}


def test_only_a_benchmark_has_published_numbers_and_its_own_rule() -> None:
    assert published_samples("rrsis-d", "val") == 1740
    assert published_samples("mine", "val") is None and published_samples("rrsis-d", "other") is None
    assert (published_rule("rrsis-d"), published_rule("mine")) == ("first", "by_hash")
    assert dataset_at("rrsis-d", RRSIS_D).published_rule == "first"
    assert BENCHMARKS["rrsis-d"].dataset(RRSIS_D, "mine").published_rule == "by_hash"


def test_the_parameters_of_a_reader_count_and_its_paths_do_not() -> None:
    def parameters(folder: str, split: str) -> dict[str, object]:
        root = Path(folder)
        return Dataset("mine", root, CustomTable(root, root, root / "q.csv", split)).parameters

    assert parameters("/here", "val") == parameters("/there", "val") != parameters("/here", "test")
    first, every = (Dataset("mine", Path("/"), PhraseFiles("a", "b", only)).parameters for only in (True, False))
    assert first != every
