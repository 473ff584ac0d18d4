"""The models whose weights are in this repository: their names and their files."""

from pathlib import Path

_WEIGHTS = Path(__file__).resolve().parents[1] / "miniature" / "weights"

EMBEDDED_PROMPTER = "qwen2.5-vl-mini"
EMBEDDED_PROMPTER_FOLDER = _WEIGHTS / "prompter"
"""A checkpoint of transformers."""

EMBEDDED_SEGMENTER = "sam2-mini"
EMBEDDED_SEGMENTER_FILE = _WEIGHTS / "segmenter" / "model.safetensors"
"""fp16, keys as in ``SAM2Base.state_dict()``."""
