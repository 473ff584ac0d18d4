"""A bad file of a checkpoint is one sentence that names the folder, and never a library's traceback."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTERS  # noqa: E402
from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.prompters.load import ADAPTERS, load_prompter  # noqa: E402

LORA = {"base_model_name_or_path": EMBEDDED_PROMPTER, "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "it is not JSON"),
        ("[]", "it holds a list and no object"),
        ("{}", "does not name the base"),
        (json.dumps({**LORA, "base_model_name_or_path": 3}), "does not name the base"),
        (json.dumps({**LORA, "base_model_name_or_path": "no-such-model"}), "which is not on this machine"),
        (json.dumps({**LORA, "peft_type": "NONE SUCH"}), "adapters for the base qwen2.5-vl-mini cannot be loaded"),
        (json.dumps({**LORA, "r": -1, "target_modules": ["q_proj"]}), "cannot be loaded"),
        (json.dumps({**LORA, "target_modules": ["no_such_layer"]}), "cannot be loaded"),
        (json.dumps({**LORA, "target_modules": ["q_proj"]}), "cannot be loaded"),  # without weights
    ],
)
def test_adapters_with_a_bad_configuration_are_one_sentence(tmp_path: Path, config: str, reason: str) -> None:
    (tmp_path / ADAPTERS).write_text(config)
    with pytest.raises(InputError, match=reason) as error:
        load_prompter(str(tmp_path))
    assert str(tmp_path) in str(error.value) and len(str(error.value)) < 1500


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', "\0"])
def test_bad_files_of_the_processor_are_one_sentence_or_unused(tmp_path: Path, name: str, content: str) -> None:
    folder = shutil.copytree(EMBEDDED_PROMPTERS[EMBEDDED_PROMPTER], tmp_path / "model")
    (folder / name).write_text(content)
    try:
        load_prompter(str(folder))
    except InputError as fault:
        assert str(folder) in str(fault)
