"""The models whose weights are in this repository: their names and their files."""

from pathlib import Path

_WEIGHTS = Path(__file__).resolve().parents[1] / "miniature" / "weights"

EMBEDDED_PROMPTER = "qwen2.5-vl-mini"
SMALL_PROMPTER = f"{EMBEDDED_PROMPTER}-small"
"""Table 4 in miniature: fewer and narrower text layers."""
WIDE_PROMPTER = f"{EMBEDDED_PROMPTER}-wide"
"""Was also taught rotated boxes, chains, and the choice among kinds (docs/beyond.md)."""

EMBEDDED_PROMPTERS = {
    EMBEDDED_PROMPTER: _WEIGHTS / "prompter",
    SMALL_PROMPTER: _WEIGHTS / "prompter-small",
    WIDE_PROMPTER: _WEIGHTS / "prompter-wide",
}
"""Name → a checkpoint of transformers."""

EMBEDDED_SEGMENTER = "sam2-mini"
SMALL_SEGMENTER, LARGE_SEGMENTER = f"{EMBEDDED_SEGMENTER}-small", f"{EMBEDDED_SEGMENTER}-large"
"""Table 5 in miniature."""

EMBEDDED_SEGMENTERS = {
    EMBEDDED_SEGMENTER: _WEIGHTS / "segmenter" / "model.safetensors",
    SMALL_SEGMENTER: _WEIGHTS / "segmenter-small" / "model.safetensors",
    LARGE_SEGMENTER: _WEIGHTS / "segmenter-large" / "model.safetensors",
}
"""Name → a file in fp16, keys as in ``SAM2Base.state_dict()``."""

EMBEDDED_MODELS = (*EMBEDDED_PROMPTERS, *EMBEDDED_SEGMENTERS)
"""All names."""
