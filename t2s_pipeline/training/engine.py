"""DeepSpeed's configuration for a run: one of two files beside this module, as the settings bend it. No torch."""

import json
from pathlib import Path

from t2s_pipeline.methods.compute import Compute

FOLDER = Path(__file__).parent / "deepspeed"


def deepspeed_config(compute: Compute) -> dict | None:
    """For ``TrainingArguments.deepspeed``, which fills in what says "auto"; None without ZeRO.

    The optimizer stays transformers' own (AdamW) unless its state is offloaded: then DeepSpeed's, made for that.
    """
    if compute.zero == 0:
        return None
    config = json.loads((FOLDER / f"zero{compute.zero}.json").read_text())
    if compute.offload:
        config["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        config["optimizer"] = {
            "type": "AdamW",
            "params": {"lr": "auto", "betas": "auto", "eps": "auto", "weight_decay": "auto"},
        }
    return config
