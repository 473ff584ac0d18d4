"""A text names a segmenter. If the text or its file is wrong, one sentence says what is wrong."""

import hashlib
import pickle
from dataclasses import replace

import pytest

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTER, EMBEDDED_SEGMENTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.vision.geometry import Frame

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from t2s_pipeline.segmenters import registry  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.segmenters.miniature import build  # noqa: E402
from t2s_pipeline.segmenters.registry import SEGMENTERS, PublishedFile  # noqa: E402


def test_the_miniature_is_embedded_and_its_weights_are_named():
    segmenter = load_segmenter("sam2-mini")
    assert segmenter.frame == Frame.square(128)
    assert segmenter.sha256 == hashlib.sha256(EMBEDDED_SEGMENTERS[EMBEDDED_SEGMENTER].read_bytes()).hexdigest()
    assert next(segmenter.model.parameters()).dtype == torch.float32


def test_other_weights_of_the_miniature_by_path(tmp_path):
    torch.manual_seed(1)
    weights = {name: value.contiguous() for name, value in build().state_dict().items()}
    save_file(weights, tmp_path / "mine.safetensors")
    torch.save({"model": weights}, tmp_path / "mine.pt")
    ours = load_segmenter(f"sam2-mini@{tmp_path / 'mine.safetensors'}")
    pickled = load_segmenter(f"sam2-mini@{tmp_path / 'mine.pt'}")
    assert ours.sha256 != pickled.sha256 != load_segmenter("sam2-mini").sha256
    for name, value in weights.items():
        assert torch.equal(ours.model.state_dict()[name], value)
        assert torch.equal(pickled.model.state_dict()[name], value)


@pytest.mark.slow
def test_a_released_checkpoint_by_name_or_by_its_own_file_name(tmp_path):
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    torch.save({"model": SEGMENTERS["sam2.1-tiny"].build().state_dict()}, path)
    by_name = load_segmenter(f"sam2.1-tiny@{path}")
    by_file = load_segmenter(str(path))
    assert by_name.name == by_file.name == "sam2.1-tiny"
    assert by_name.sha256 == by_file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert by_name.frame == Frame.square(1024)
    assert by_name.model.sam_mask_decoder.dynamic_multimask_via_stability


@pytest.mark.slow
def test_the_checkpoint_in_the_hub_cache_is_held_against_its_known_sha256(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--facebook--sam2.1-hiera-tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c" * 40)
    path = repository / "snapshots" / ("c" * 40) / "sam2.1_hiera_tiny.pt"
    path.parent.mkdir(parents=True)
    torch.save({"model": SEGMENTERS["sam2.1-tiny"].build().state_dict()}, path)
    with pytest.raises(InputError, match=r"is not the published checkpoint of sam2\.1-tiny"):
        load_segmenter("sam2.1-tiny")
    tiny, sha256 = SEGMENTERS["sam2.1-tiny"], hashlib.sha256(path.read_bytes()).hexdigest()
    assert isinstance(tiny.weights, PublishedFile)
    ours = replace(tiny, weights=replace(tiny.weights, sha256=sha256))
    monkeypatch.setattr(registry, "SEGMENTERS", Registry("segmenter", [ours]))
    for name in ("sam2.1-tiny", "facebook/sam2.1-hiera-tiny"):
        assert (load_segmenter(name).name, load_segmenter(name).sha256) == ("sam2.1-tiny", sha256)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sam3-huge", r"no segmenter 'sam3-huge'.*sam2-mini, .*sam2.1-tiny"),
        ("sam2.1-small", "needs its checkpoint"),
        ("sam2.1-small@/nowhere/sam2.1_hiera_small.pt", "is not at /nowhere"),
        ("sam2-mini@/nowhere/model.safetensors", "is not at /nowhere"),
    ],
)
def test_a_message_says_what_is_missing(name, message, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=message) as raised:
        load_segmenter(name)
    assert "\n" not in str(raised.value)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save_file({"weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="does not fit sam2-mini"):
        load_segmenter(f"sam2-mini@{tmp_path / 'other.safetensors'}")


class Payload:
    """Calls open() when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    trace = tmp_path / "ran"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Payload(str(trace))))
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_segmenter(f"sam2-mini@{tmp_path / 'evil.pt'}")
    assert not trace.exists()


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    for name in ("broken.safetensors", "broken.pt", "weights.bin"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
        with pytest.raises(InputError, match=name):
            load_segmenter(f"sam2-mini@{tmp_path / name}")
