"""Folders with a whole model of a few bytes, as they lie in the watched folder."""

import json
import struct
from pathlib import Path

from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.training.checkpoints import MARKER, Checkpoint

MINI = EXPERIMENTS["think2seg-mini"]


def put(folder: Path, marker: bool = False, at: int = 20, **stated: object) -> Path:
    """A model of one tensor of eight bytes, with our marker or with ``evaluate.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    if marker:
        created_at = "2026-01-01T00:00:00+00:00"
        fields = vars(Checkpoint(folder, "think2seg-mini", at, 60, MINI.as_json(), "f", "d", "abc", created_at))
        (folder / MARKER).write_text(json.dumps({key: value for key, value in fields.items() if key != "path"}))
    if stated:
        (folder / "evaluate.json").write_text(json.dumps(stated))
    return folder
