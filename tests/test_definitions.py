"""The code location: loads, fast, without torch, from stable Dagster only, and tells the story left to right."""

import json
import subprocess
import sys
from itertools import pairwise

import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.core.settings import REPO  # noqa: E402
from t2s_pipeline.definitions import defs  # noqa: E402

pytestmark = pytest.mark.orchestrator

STORY = ["synthetic_scenes", "samples", "checkpoints", "completions", "predictions", "sample_scores"]
OURS = ("t2s_pipeline", "assets", "jobs")
STORY += ["benchmark_metrics", "leaderboard", "report"]


def load_in_a_new_process(module: str) -> list[str]:
    """Import a module in a process of its own; return everything that was imported."""
    script = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_every_definition_is_valid():
    dg.Definitions.validate_loadable(defs)


def test_it_loads_without_torch_and_little_beyond_dagster_itself():
    loaded = load_in_a_new_process("t2s_pipeline.definitions")
    dagster_alone = load_in_a_new_process("dagster")
    beyond = {name for name in set(loaded) - set(dagster_alone) if name.split(".")[0] not in OURS}
    assert len(beyond) < 0.5 * len(dagster_alone)
    assert not {"torch", "transformers", "sam2", "matplotlib"} & set(loaded)


def test_dagster_beta_preview_superseded_and_deprecated_parts_are_errors(pytestconfig):
    script = (
        "import warnings, dagster as dg;"
        "from dagster._utils.warnings import BetaWarning, PreviewWarning, SupersessionWarning;"
        "[warnings.simplefilter('error', kind) for kind in (BetaWarning, PreviewWarning, SupersessionWarning)];"
        "warnings.filterwarnings('error', '.*is deprecated and will be removed in', DeprecationWarning);"
        "from t2s_pipeline.definitions import defs; dg.Definitions.validate_loadable(defs)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum("dagster_shared" in line for line in pytestconfig.getini("filterwarnings")) == 3


def test_the_graph_reads_from_files_to_pictures():
    graph = defs.resolve_asset_graph()
    for upstream, downstream in pairwise(STORY):
        above = {key.to_user_string() for key in ancestors(graph, dg.AssetKey(downstream))}
        assert upstream in above, f"{downstream} does not come of {upstream}"
        assert downstream not in {key.to_user_string() for key in ancestors(graph, dg.AssetKey(upstream))}


def ancestors(graph, key) -> set:
    found, waiting = set(), [key]
    while waiting:
        for parent in graph.get(waiting.pop()).parent_keys:
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def test_every_asset_says_what_it_is_and_belongs_to_a_group():
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.group_name in {"datasets", "labels", "training", "predictions", "results", "scenes"}, spec.key


def test_everything_that_loads_a_model_takes_a_slot_of_the_gpu_pool():
    demo = defs.resolve_job_def("demo")
    pools = {node.name: node.definition.pool for node in demo.graph.nodes}
    assert {name for name, pool in pools.items() if pool == "gpu"} == {
        "train",
        "validate",
        "complete",
        "segment",
    }
    for key in ("training_log", "completions", "predictions", "label_quality"):
        assert defs.resolve_assets_def(key).op.pool == "gpu"


def test_the_jobs_and_their_ops_have_a_description():
    for name in ("demo", "evaluate", "summarize"):
        assert defs.resolve_job_def(name).description
    for node in defs.resolve_job_def("demo").graph.nodes:
        assert node.definition.description
