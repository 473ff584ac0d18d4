"""A group's prompt that goes through the model once gives what the plain way gives, for every family that shares it."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

import numpy as np  # noqa: E402

from t2s_pipeline.core.progress import StderrProgress  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.prompters.base import GenerationSettings  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompters.prefixes import PromptBatch  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.training.architecture import architecture  # noqa: E402
from t2s_pipeline.training.packed_prompts import packed  # noqa: E402
from t2s_pipeline.training.run import train  # noqa: E402
from t2s_pipeline.training.shared_prompts import log_probabilities  # noqa: E402
from tests.prompters import tiny  # noqa: E402
from tests.small_models import save_segmenter  # noqa: E402


@pytest.mark.parametrize("model_type", ["qwen2_5_vl", "qwen3_vl"])
def test_shared_prompts_give_the_plain_log_probabilities(model_type, tmp_path):
    prompter = load_prompter(str(tiny.save(model_type, tmp_path)))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2)]
    inputs = prompter.inputs(images, ["Where?", "Which of these would cool people down?"], PROMPT_COMBINATIONS["bbox"])
    owner = torch.tensor([0, 1, 1])
    ids = torch.randint(10, 300, (3, 5), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    kept = {name: inputs[name] for name in ("pixel_values", "image_grid_thw", "mm_token_type_ids")}
    prompts = PromptBatch(inputs["input_ids"], inputs["attention_mask"], kept)
    with torch.no_grad():
        values, _ = log_probabilities(prompter.model, prompts, owner, ids, mask, 1.0)
        batch = packed(prompter.model.base_model, prompts, owner, ids, mask)
        logits = prompter.model(**batch.inputs).logits[:, :-1]
    labels = batch.labels[:, 1:]
    of_labels = logits.log_softmax(-1).gather(2, labels.clamp(min=0)[..., None])[..., 0].masked_fill(labels < 0, 0)
    grids = inputs["image_grid_thw"]
    patches = inputs["pixel_values"].split(grids.prod(1).tolist())
    types = torch.cat([inputs["mm_token_type_ids"][owner], torch.zeros_like(ids)], dim=1)
    whole = {
        "input_ids": torch.cat([inputs["input_ids"][owner], ids], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"][owner], mask], dim=1),
        "pixel_values": torch.cat([patches[i] for i in owner.tolist()]),
        "image_grid_thw": grids[owner],
        "mm_token_type_ids": types,
    }
    prompter.model.model.rope_deltas = None
    with torch.no_grad():
        logits = prompter.model(**whole).logits[:, -ids.shape[1] - 1 : -1]
    expected = logits.log_softmax(-1).gather(2, ids[..., None])[..., 0].masked_fill(mask == 0, 0)
    for found in (values, batch.of_completions(of_labels)):
        assert torch.allclose(found, expected, atol=1e-4), (found - expected).abs().max()


@pytest.mark.parametrize("model_type", ["qwen3_5", "internvl"])
def test_a_family_that_shares_no_prompts_trains_and_its_checkpoint_answers(model_type, tmp_path):
    """Two steps by TRL's own way: the weights change, and the checkpoint is a prompter of its family."""
    write_scenes(tmp_path / "scenes", train=2, val=1, test=1, workers=1, progress=False)
    ingest_split(tmp_path / "lake", dataset_at("synthetic", tmp_path / "scenes"), "train")
    base = tiny.save(model_type, tmp_path / "base")
    segmenter = save_segmenter(tmp_path / "segmenter.safetensors")
    few = ("grpo.steps=2", "grpo.group_size=2", "grpo.prompts_per_step=1", "grpo.max_new_tokens=8")
    settings = (f"prompter={base}", f"segmenter={segmenter}", "grpo.checkpoint_every=2", "name=family", *few)
    train(experiment("think2seg-mini", settings), tmp_path, "", StderrProgress(), "cpu")
    rows = read_partition(tmp_path / "lake", TRAINING_LOG, {"run": "family"}).to_pylist()
    assert [row["step"] for row in rows] == [1, 2] and all(row["tokens_per_second"] > 0 for row in rows)
    folder = tmp_path / "runs" / "family" / "checkpoint-2"
    prompter = load_prompter(str(folder))
    assert prompter.family.model_type == model_type
    sizes = architecture(str(folder))
    assert sizes is not None and not sizes.shares_prompts
    prompter.check_depends_on_image()
    [answer] = prompter.answer(
        [np.zeros((64, 64, 3), np.uint8)], ["Where?"], PROMPT_COMBINATIONS["bbox"], GenerationSettings(max_new_tokens=4)
    )
    assert answer.tokens >= 1
