"""DeepSpeed reads our configurations as we mean them."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.worker
pytest.importorskip("trl")

from t2s_pipeline.methods.compute import Compute  # noqa: E402
from t2s_pipeline.training.arguments import DEEPSPEED, deepspeed_config  # noqa: E402


def test_without_zero_there_is_no_configuration():
    assert deepspeed_config(Compute()) is None
    assert {path.name for path in DEEPSPEED.iterdir()} == {"zero2.json", "zero3.json"}


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed is installed on Linux only")
@pytest.mark.parametrize(("stage", "offload"), [(2, False), (2, True), (3, False), (3, True)])
def test_deepspeeds_own_code_reads_them(tmp_path: Path, stage: int, offload: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    from deepspeed.runtime.config import DeepSpeedConfig
    from transformers import TrainingArguments

    config = deepspeed_config(Compute(zero=stage, offload=offload))
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        max_grad_norm=0.5,
        learning_rate=1e-6,
        weight_decay=0.0,
        bf16=True,
        use_cpu=True,
        max_steps=10,
        deepspeed=config,
    )
    arguments.hf_deepspeed_config.trainer_config_process(arguments)
    filled = arguments.hf_deepspeed_config.config
    for value in ("reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold"):
        if filled["zero_optimization"].get(value) == "auto":  # filled in with the model's width, when it is known
            filled["zero_optimization"][value] = 1_000_000
    if offload:
        assert filled["optimizer"]["params"]["lr"] == 1e-6
    read = DeepSpeedConfig(filled)
    assert read.zero_config.stage == stage
    assert read.bfloat16_config.enabled
    assert read.gradient_clipping == 0.5
    assert (read.train_micro_batch_size_per_gpu, read.gradient_accumulation_steps) == (4, 2)
    offloaded = read.zero_config.offload_optimizer
    assert (offloaded is not None and offloaded.device == "cpu") == offload
    assert read.zero_config.gather_16bit_weights_on_model_save == (stage == 3)
