"""MobileSAM computes what its authors' code computes."""

from pathlib import Path

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Frame, PromptObject

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.segmenters.mobile_sam import MobileSam  # noqa: E402

OF_SAM = ((".mlp.layers.0.", ".mlp.lin1."), (".mlp.layers.1.", ".mlp.lin2."))
"""Names in sam2's transformer, and the same ones in MobileSAM's checkpoint."""


def checkpoint() -> dict[str, "torch.Tensor"]:
    """Weights that follow from a formula, under the names of MobileSAM's checkpoint."""
    state = {}
    for name, value in MobileSam().state_dict().items():
        for ours, theirs in OF_SAM:
            name = name.replace(ours, theirs) if "transformer" in name else name
        state[name] = value
    weights = {}
    for index, name in enumerate(sorted(state)):
        value = state[name]
        if not value.is_floating_point():
            weights[name] = value
            continue
        wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 1.7 + index)
        if name.endswith("running_var"):
            wave = 1 + 0.3 * wave
        elif name.endswith("weight") and value.ndim == 1:
            wave = 1 + 0.1 * wave
        else:
            wave = wave * (1.6 / (value.numel() / value.shape[0]) ** 0.5 if value.ndim > 1 else 0.05)
        weights[name] = wave.float().view(value.shape)
    return weights


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mobile-sam") / "mobile_sam.pt"
    # The classifier of the encoder's own training is in the checkpoint too.
    torch.save({**checkpoint(), "image_encoder.head.weight": torch.ones(2)}, path)
    return path


@pytest.mark.slow
def test_the_masks_are_those_of_the_authors_code(file: Path):
    """Logits and estimated IoU of the package mobilesam-mirror 1.0.0 with the same weights, image and prompts."""
    segmenter = load_segmenter(f"mobile-sam@{file}")
    assert len(checkpoint()) == 435
    y, x = np.mgrid[0:1024, 0:1024]
    image = np.stack([x // 4 % 256, y // 4 % 256, (x + y) // 8 % 256], axis=2).astype(np.uint8)
    frame, embedding = Frame.square(1024), segmenter.encode(image)
    box, point = (200.0, 300.0, 600.0, 700.0), (400.0, 500.0)
    for prompt, score, logits in (
        (PromptObject(box), 0.21760188, (0.33528221, 0.34407112, 0.33995306, 0.33695599)),
        (PromptObject(box, (point,)), 0.21726893, (0.33536419, 0.34412283, 0.34044152, 0.33706385)),
        (
            PromptObject(None, (point,), ((100.0, 100.0),)),
            -0.04388195,
            (0.36019799, 0.36844423, 0.36498365, 0.36488861),
        ),
    ):
        decoded = segmenter._decoded(embedding, [[prompt]], frame, False)
        assert decoded.scores[0] == pytest.approx(score, abs=1e-5)
        assert decoded.logits[0][[10, 64, 128, 200], [20, 64, 150, 250]].tolist() == pytest.approx(logits, abs=1e-5)


def test_the_file_must_be_the_published_one(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    with pytest.raises(InputError, match="t2s models fetch mobile-sam"):
        load_segmenter("mobile-sam")
