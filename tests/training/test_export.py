"""An exported checkpoint is one that plain transformers (and peft) load, and its card says what it was made from."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: E402

from t2s_pipeline.core.errors import InputError, NotMaterializedError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from t2s_pipeline.training.export import export  # noqa: E402
from t2s_pipeline.training.model_card import card  # noqa: E402
from t2s_pipeline.training.run import train  # noqa: E402

SETTINGS = ("grpo.steps=2", "grpo.prompts_per_step=1", "grpo.group_size=2", "grpo.checkpoint_every=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=3, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    train(experiment("think2seg-mini", [*SETTINGS, "name=whole"]), home, "f", NoProgress())
    low_rank = [*SETTINGS, "name=low-rank", "grpo.lora_rank=2", "grpo.learning_rate=0.01"]
    train(experiment("think2seg-mini", low_rank), home, "f", NoProgress())
    return home


def logits(folder: Path, model=None) -> torch.Tensor:
    """What a model in a folder says of one picture, by transformers alone."""
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    if model is None:
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where are the roofs?"}]}]
    text = processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    inputs = processor(text=[text], images=[Image.new("RGB", (168, 168), "green")], return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits


def test_the_whole_model_loads_with_plain_transformers(home: Path, tmp_path: Path):
    made = export(home, "whole@1", tmp_path / "out", dtype="float32")
    assert made.step == 1
    assert torch.equal(logits(tmp_path / "out"), logits(made.path))
    assert not torch.equal(logits(tmp_path / "out"), logits(checkpoints.latest(home / "runs" / "whole").path))
    # No optimizer, no random state: what is needed to answer and nothing else.
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not {name for name in names if name.endswith((".pt", ".pth", ".bin"))}
    half = export(home, "whole", tmp_path / "half")
    assert half.final
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "half", local_files_only=True, dtype="auto")
    assert model.dtype == torch.bfloat16


def test_adapters_are_merged_or_left_for_peft(home: Path, tmp_path: Path):
    from peft import PeftModel

    made = export(home, "low-rank", tmp_path / "merged", dtype="float32")
    base = load_prompter("qwen2.5-vl-mini").model
    expected = logits(tmp_path / "merged", PeftModel.from_pretrained(base, made.path))
    assert torch.allclose(logits(tmp_path / "merged"), expected, atol=1e-4)
    plain = logits(tmp_path / "merged", load_prompter("qwen2.5-vl-mini").model)
    assert (expected - plain).abs().max() > 1e-3, "the adapters must have learned something"
    # As a system it answers with them too.
    assert torch.allclose(logits(tmp_path / "merged", load_prompter(str(made.path)).model), expected, atol=1e-4)
    export(home, "low-rank", tmp_path / "adapters", merge=False)
    assert (tmp_path / "adapters" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "adapters" / "model.safetensors").exists()
    again = PeftModel.from_pretrained(load_prompter("qwen2.5-vl-mini").model, tmp_path / "adapters")
    assert torch.allclose(logits(tmp_path / "adapters", again), expected, atol=1e-5)


def test_the_card_says_what_it_was_made_from(home: Path, tmp_path: Path):
    made = export(home, "whole", tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert made.sha256 in text and made.fingerprint in text
    assert "synthetic-train, 3 samples" in text and "was not evaluated" in text
    assert json.loads((tmp_path / "out" / "experiment.json").read_text()) == made.experiment
    assert '"learning_rate": 0.0001' in text


def test_a_metric_that_is_not_defined_is_a_dash_in_the_card(home: Path):
    score = {"dataset": "synthetic", "split": "val", "protocol": "reference", "n": 2}
    score |= {f"{metric}{suffix}": 12.5 for metric in ("giou", "ciou") for suffix in ("", "_low", "_high")}
    score |= {"p_at_50": None, "p_at_50_low": None, "p_at_50_high": None}
    text = card(checkpoints.latest(home / "runs" / "whole"), None, [score], "weights", "The whole model.")
    assert "| synthetic-val | reference | 2 | 12.50 [12.50, 12.50] | 12.50 [12.50, 12.50] | – |" in text


def test_a_mistake_is_one_sentence_and_nothing_half_written_stays(home: Path, tmp_path: Path):
    with pytest.raises(NotMaterializedError, match=r"whole@7 .*of these steps: 1, 2"):
        export(home, "whole@7", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(InputError, match="already exists"):
        export(home, "whole", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
