"""Objects that people add from their own module, without a change to the package, appear everywhere.

Each test writes a module outside of the package, names it in ``T2S_EXTENSIONS``, and starts real processes.
tests/test_model_extensions.py holds the claims about models, which need the worker environment.
"""

import json
from pathlib import Path

import pytest
from PIL import Image

from t2s_pipeline.core.settings import Settings
from tests.outside import MODELS, Outside

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator


BENCHMARK = '''
"""A benchmark with one text file per split; a line is image, mask and question, separated by tabs."""

from t2s_pipeline.datasets.annotated_images import Index, IndexReader
from t2s_pipeline.datasets.index_rows import Row
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles
from t2s_pipeline.datasets.question_choice import FIRST
from t2s_pipeline.datasets.registry import BENCHMARKS


class Lines(IndexReader):
    def splits(self, root):
        return [split for split in SPLITS if (root / f"{split}.txt").is_file()]

    def index(self, root, split):
        path = root / f"{split}.txt"
        rows = []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            image, mask, question = line.split("\\t")
            rows.append(Row((f"{path.name}:{number}",), image, (question,), mask=mask))
        return Index([path], rows, NamedFiles(root / "images"), NamedFiles(root / "masks"))


BENCHMARKS.register(
    Benchmark(
        name="tiny-lines",
        reader=Lines(),
        layout="train.txt, val.txt or test.txt, images/ and masks/",
        samples={"val": 3},
        published_rule=FIRST,
        is_referring=True,
    )
)
'''

OFFERED = """
import dagster as dg
from assets.resources import WorkerLauncher
from jobs.dataset_sensors import known_datasets
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.evaluation import final_splits
with dg.DagsterInstance.ephemeral() as instance:
    result = known_datasets(dg.build_sensor_context(instance=instance), worker=WorkerLauncher())
(request,) = result.dynamic_partitions_requests
print(*request.partition_keys)
print(*final_splits(Settings.from_env(), "earthreason"))
"""
"""Prints the partitions that the UI offers, and the splits on which a chosen checkpoint is scored."""


def test_a_benchmark(outside: Outside, tmp_path: Path) -> None:
    outside.module("my_benchmark", BENCHMARK)
    root = tmp_path / "download" / "TinyLines"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", (8, 6), "green").save(root / "images" / "a.png")
    Image.new("L", (8, 6), 255).save(root / "masks" / "a.png")
    for split in ("val", "test"):
        (root / f"{split}.txt").write_text("a.png\ta.png\tWhere is grass?\nb.png\ta.png\tWhere is water?\n")

    outside.t2s("ingest", "tiny-lines", "--root", root.parent)
    assert outside.rows(
        """
        SELECT (SELECT count(*) FROM samples WHERE dataset = 'tiny-lines') AS samples,
               (SELECT count(*) FROM rejects WHERE dataset = 'tiny-lines') AS rejects,
               (SELECT list(DISTINCT rule) FROM selections WHERE published) AS rules
        """
    ) == [{"samples": 2, "rejects": 2, "rules": ["first"]}]

    diagnosis = json.loads(outside.t2s("doctor", "--json", T2S_TINY_LINES_ROOT=root))
    (state,) = [dataset for dataset in diagnosis["datasets"] if dataset["key"] == "tiny-lines"]
    assert (state["root"], state["origin"]) == (str(root), "T2S_TINY_LINES_ROOT")
    assert {"split": "val", "samples": 1, "rejects": 1, "published": 3} in state["splits"]

    partitions, final = outside.run("-c", OFFERED).splitlines()
    assert {"tiny-lines-train", "tiny-lines-val", "tiny-lines-test"} <= set(partitions.split())
    assert final == "('tiny-lines', 'test')"


METHOD = '''
"""A method with everything of its own: prompt combination, labels, a part of its reward, and an experiment."""

from dataclasses import dataclass, replace
from typing import ClassVar

from t2s_pipeline.methods.method import Method
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.registry import METHODS
from t2s_pipeline.methods.reward import REWARDS, Reward
from t2s_pipeline.methods.shared_settings import EMBEDDED_GRPO, embedded_experiment
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, Key, PromptCombination, Role
from t2s_pipeline.pseudo_labels.label import Label, Labelling, on_square, tight_box
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS
from t2s_pipeline.rewards.completions import by_labels
from t2s_pipeline.rewards.functions import REWARD_PARTS, RewardPart


@dataclass(frozen=True)
class OneBox(Labelling):
    name: ClassVar[str] = "one-box"

    def instances(self, mask):
        square = on_square(mask, self.side)
        return [square] if square.any() else []

    def label(self, mask):
        return [Label(tight_box(square), (), int(square.sum())) for square in self.instances(mask)]


def brief(context):
    return by_labels(lambda text, labels: float(len(text) < context.frame.width))


PROMPT_COMBINATIONS.register(PromptCombination(name="pos3", keys=(Key("positive_points", Role.POSITIVE, 3),)))
LABELLINGS.register(OneBox())
REWARD_PARTS.register(RewardPart("brief", brief))
REWARDS.register(Reward(name="one-box", parts={"format": 1.0, "brief": 0.5}, needs_labels=True, combination="pos3"))
RECIPE = Recipe(combination="pos3", reward="one-box", labels="one-box")
EXPERIMENT = embedded_experiment("one-box-mini", RECIPE, replace(EMBEDDED_GRPO, steps=2))
METHODS.register(
    Method(
        name="one-box",
        title="One Box",
        recipe=RECIPE,
        embedded=EXPERIMENT,
        zero_shot={"zero-shot-one-box": EXPERIMENT},
    )
)
'''

IN_THE_UI = """
import json
from assets.labels import LabelConfig
from assets.partitions import known_runs
from jobs.demo import DemoConfig
from t2s_pipeline.core.settings import Settings
print(json.dumps([known_runs(Settings.from_env()), LabelConfig().methods, DemoConfig().methods]))
"""

LABEL = """
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.labels import Judge, MakeLabels
from t2s_pipeline.steps.runner import Runner
settings = Settings.from_env()
runner = Runner(settings, launch=lambda arguments: None, say=lambda message: None)
for step in (SyntheticScenes(2, 2, 2), ReadTables("synthetic", "val"), MakeLabels("one-box", "synthetic", "val")):
    runner.run(step)
assert any(target.partition["method"] == "one-box" for target in Judge("sam2-mini", "synthetic", "val").writes())
"""

READ = """
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.templates import answer_text, instruction
from t2s_pipeline.pseudo_labels.label import Label
from t2s_pipeline.rewards.functions import reward_functions
from t2s_pipeline.vision.geometry import Frame
recipe = experiment("one-box-mini").recipe
print(instruction("Where?", PROMPT_COMBINATIONS[recipe.combination]))
answer = answer_text("three", '[{"positive_points": [[1, 2], [3, 4], [5, 6]]}]')
label = Label((0, 0, 9, 9), (), 100)
for function in reward_functions(recipe, None, Frame.square(168)):
    print(function.__name__, function([answer, "no"], labels=[[label]] * 2))
"""


def test_a_method_with_its_own_combination_labels_and_reward(outside: Outside) -> None:
    outside.module("my_method", METHOD)
    listed = {item["name"]: item for item in json.loads(outside.t2s("experiments", "--json"))}
    assert listed["one-box-mini"]["recipe"]["combination"] == "pos3"
    assert "think2seg-mini" in listed
    assert "zero-shot-one-box" in outside.t2s("experiments")

    runs, label_methods, demo_methods = json.loads(outside.run("-c", IN_THE_UI))
    assert "one-box-mini" in runs
    assert label_methods[-1] == "one-box"
    assert demo_methods == ["think2seg", "seg-zero", "vision-reasoner", "remote-reasoner", "one-box"]

    asked, *parts = outside.run("-c", READ).strip().removeprefix("Mark").rsplit("\n", 2)
    assert '"positive_points": [[x, y], [x, y], [x, y]]' in asked
    assert parts == ["format [1.0, 0.0]", "brief [1.0, 1.0]"]

    outside.run("-c", LABEL)
    labelled = outside.rows("SELECT method, outcome, instances FROM labels_per_sample")
    assert labelled
    assert {row["method"] for row in labelled} == {"one-box"}


WORKER = Settings.from_env().worker_python


@pytest.mark.slow
@pytest.mark.skipif(not WORKER.exists(), reason=f"no worker environment at {WORKER}: make setup")
def test_a_system_answers_in_a_combination_from_outside(outside: Outside) -> None:
    outside.module("my_method", METHOD)
    outside.run("-c", LABEL)
    outside.t2s("evaluate", "zero-shot-one-box")
    scores = outside.rows("SELECT system, n FROM leaderboard WHERE split = 'val' AND protocol = 'strict'")
    assert scores == [{"system": "zero-shot-one-box", "n": 2}]
    settings = outside.rows("SELECT DISTINCT settings FROM completions WHERE system = 'zero-shot-one-box'")
    assert [json.loads(str(row["settings"]))["schema"] for row in settings] == ["pos3"]


PLANS = """
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training.plan import training_plan
for name in ("my-sam", "your-sam"):
    print(training_plan(experiment("think2seg-mini", [f"segmenter={name}"]), Settings.from_env()).missing)
"""


def test_a_prompter_family_and_a_segmenter_are_listed(outside: Outside) -> None:
    outside.module("my_models", MODELS)
    models = json.loads(outside.t2s("doctor", "--json"))["models"]
    assert "Qwen2-VL" in models["prompter_families"]
    assert "qwen2-vl-2b" in models["prompters"]
    assert "my-sam" in models["segmenters"]
    # A segmenter without weights of its own needs a file; an unknown one is refused with the names.
    mine, yours = outside.run("-c", PLANS).splitlines()
    assert "t2s models add my-sam FILE" in mine
    assert "There is no segmenter 'your-sam'" in yours and "my-sam" in yours
