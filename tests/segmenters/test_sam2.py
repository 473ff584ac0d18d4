"""The batched segmenter is SAM2ImagePredictor, called once per object, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from sam2.sam2_image_predictor import SAM2ImagePredictor  # noqa: E402

from t2s_pipeline.segmenters import products, sam2  # noqa: E402
from t2s_pipeline.segmenters.miniature import build  # noqa: E402
from t2s_pipeline.segmenters.registry import SEGMENTERS  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402

PROMPTER = Frame(84, 84)
"""The frame the prompts below are pixels of; neither the image's nor the segmenter's."""
NATIVE = Frame(width=150, height=110)

BOX = PromptObject(bbox=(10, 12, 40, 50))
BOX_AND_TWO = PromptObject(bbox=(10, 12, 40, 50), positive_points=((20, 30), (30, 41)))
BOX_AND_FOUR = PromptObject(bbox=(5, 30, 70.5, 60), positive_points=((20, 31), (30, 41), (40.25, 52), (60, 50)))
WITH_NEGATIVE = PromptObject(
    bbox=(40, 40, 80, 80), positive_points=((50, 60), (66, 71)), negative_points=((42, 42), (79, 41))
)
ONE_POINT = PromptObject(positive_points=((33, 44),))
TWO_POINTS = PromptObject(positive_points=((60, 10), (70, 20)))
RAGGED = [BOX, BOX_AND_TWO, BOX_AND_FOUR, WITH_NEGATIVE, ONE_POINT, TWO_POINTS]


def noise_image(seed: int = 0) -> np.ndarray:
    """uint8 (110, 150, 3): smooth blobs, so that masks have borders to disagree about."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(11, 15, 3))
    return np.kron(coarse, np.ones((10, 10, 1))).astype(np.uint8)


def random_segmenter(seed: int = 0, **options) -> Sam2Segmenter:
    torch.manual_seed(seed)
    return Sam2Segmenter(build(), "random", "none", **options)


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    return random_segmenter()


def predictor_mask(
    segmenter: Sam2Segmenter, image: np.ndarray, item: PromptObject, multimask: bool = False
) -> tuple[np.ndarray, float]:
    """One object through sam2's own predictor."""
    return predicted(image_predictor(segmenter, image), item, multimask)


def image_predictor(segmenter: Sam2Segmenter, image: np.ndarray) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(segmenter.model)
    side = segmenter.frame.width
    predictor._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]
    predictor.set_image(image)
    return predictor


def predicted(predictor: SAM2ImagePredictor, item: PromptObject, multimask: bool = False) -> tuple[np.ndarray, float]:
    """An object's mask and score, its coordinates given in native pixels."""
    height, width = predictor._orig_hw[0]
    native = item.moved(PROMPTER, Frame(width=width, height=height))
    points = native.positive_points + native.negative_points
    labels = [1] * len(native.positive_points) + [0] * len(native.negative_points)
    masks, scores, _ = predictor.predict(
        point_coords=np.array(points) if points else None,
        point_labels=np.array(labels) if points else None,
        box=np.array(native.bbox) if native.bbox else None,
        multimask_output=multimask,
    )
    best = int(scores.argmax())
    return masks[best].astype(bool), float(scores[best])


@pytest.mark.parametrize("multimask", [False, True])
def test_a_ragged_set_gives_what_the_predictor_gives_object_by_object(segmenter, multimask):
    image = noise_image()
    found = segmenter.decode(
        segmenter.encode(image), [[item] for item in RAGGED], PROMPTER, NATIVE, multimask=multimask
    )
    for item, segmentation in zip(RAGGED, found, strict=True):
        mask, score = predictor_mask(segmenter, image, item, multimask)
        assert segmentation.mask.shape == mask.shape == (NATIVE.height, NATIVE.width)
        assert 0.001 < mask.mean() < 0.999, "the mask says nothing"
        assert (segmentation.mask != mask).mean() <= 0.0005
        assert segmentation.scores == pytest.approx((score,), abs=1e-4)


def resized(image: np.ndarray, frame: Frame) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((frame.width, frame.height), Image.Resampling.NEAREST))


def run_once_for_equal_pixels(segmenter: Sam2Segmenter, monkeypatch) -> None:
    """Spare the second run of the image encoder where both sides hand it the very same pixels."""
    real, last = segmenter.model.forward_image, {}

    def forward_image(pixels):
        if not torch.equal(pixels, last.get("pixels", torch.zeros(()))):
            last.update(pixels=pixels, found=real(pixels))
        return last["found"]

    monkeypatch.setattr(segmenter.model, "forward_image", forward_image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("sam2.1-tiny", [Frame(150, 110), Frame(1300, 700)]),
        ("sam2.1-small", [Frame(840, 840)]),
        ("sam2.1-base-plus", [Frame(512, 512)]),
        ("sam2.1-large", [Frame(800, 800)]),
    ],
)
def test_the_released_architectures_agree_with_the_predictor_for_every_prompt_combination(name, sizes, monkeypatch):
    torch.manual_seed(0)
    segmenter = Sam2Segmenter(SEGMENTERS[name].build(), name, "random", at_once=100)
    assert segmenter.frame == Frame.square(1024)
    run_once_for_equal_pixels(segmenter, monkeypatch)
    for native in sizes:
        image = resized(noise_image(), native)
        found = segmenter.decode(segmenter.encode(image), [[item] for item in RAGGED], PROMPTER, native)
        predictor = image_predictor(segmenter, image)
        varied = 0
        for item, segmentation in zip(RAGGED, found, strict=True):
            mask, score = predicted(predictor, item)
            varied += 0.001 < mask.mean() < 0.999
            assert segmentation.mask.shape == mask.shape == (native.height, native.width)
            assert (segmentation.mask != mask).mean() <= 0.0005, (name, native, item)
            assert segmentation.scores == pytest.approx((score,), abs=1e-4)
        assert varied >= 4, "the masks say nothing"


def test_in_bfloat16_the_masks_are_nearly_those_of_float32():
    exact, rough = random_segmenter(), random_segmenter(bfloat16=True)
    image, sets = noise_image(), [[item] for item in RAGGED]
    pairs = zip(*(each.decode(each.encode(image), sets, PROMPTER, NATIVE) for each in (exact, rough)), strict=True)
    assert rough.encode(image).high_res[0].dtype == torch.bfloat16
    ious = [np.logical_and(a.mask, b.mask).sum() / np.logical_or(a.mask, b.mask).sum() for a, b in pairs]
    assert all(iou > 0.9 for iou in ious), ious


def test_a_set_is_the_union_of_its_objects(segmenter):
    embedding = segmenter.encode(noise_image())
    together, *apart = segmenter.decode(embedding, [RAGGED[:3], *([item] for item in RAGGED[:3])], PROMPTER, NATIVE)
    assert (together.mask == np.logical_or.reduce([one.mask for one in apart])).all()
    assert together.scores == tuple(one.scores[0] for one in apart)


def test_an_empty_set_gives_an_empty_mask(segmenter):
    empty, other = segmenter.decode(segmenter.encode(noise_image()), [[], [BOX]], PROMPTER, NATIVE)
    assert not empty.mask.any()
    assert empty.scores == ()
    assert other.mask.any()
    assert segmenter.decode(segmenter.encode(noise_image()), [], PROMPTER, NATIVE) == []


def test_identical_objects_are_decoded_once(segmenter):
    embedding = segmenter.encode(noise_image())
    before = segmenter.counts.objects
    copy = PromptObject(bbox=(10.0, 12.0, 40.0, 50.0))
    first, second, third = segmenter.decode(embedding, [[BOX, BOX], [copy], []], PROMPTER, NATIVE)
    assert segmenter.counts.objects - before == 1
    assert (first.mask == second.mask).all() and first.mask.any()
    assert len(first.scores) == 2 and len(second.scores) == 1 and not third.mask.any()


def test_as_many_objects_share_a_call_as_memory_allows_whatever_their_points():
    sets = [[item] for item in RAGGED] + [[PromptObject(bbox=(3, 3, 44, 41))]]
    roomy = random_segmenter(at_once=100)
    whole = roomy.decode(roomy.encode(noise_image()), sets, PROMPTER, NATIVE)
    assert (roomy.counts.encoder, roomy.counts.decoder, roomy.counts.objects) == (1, 1, 7)
    tight = random_segmenter(at_once=100, memory_bytes=3 * roomy._bytes_per_object())
    parts = tight.decode(tight.encode(noise_image()), sets, PROMPTER, NATIVE)
    assert (tight.counts.decoder, tight.counts.objects) == (3, 7)
    assert all((a.mask != b.mask).mean() <= 0.0005 for a, b in zip(whole, parts, strict=True))


def test_the_working_memory_of_a_call_is_within_what_it_is_said_to_be(segmenter):
    """The tensors alive at once, as torch's allocator sees them, for 8 objects more."""
    from torch.profiler import profile

    def peak(count: int) -> int:
        items = [[PromptObject(bbox=(i, 3, i + 30, 41))] for i in range(count)]
        wide = random_segmenter(at_once=100)
        embedding = wide.encode(noise_image())
        with profile(profile_memory=True) as trace:
            wide.decode(embedding, items, PROMPTER, NATIVE)
        sizes = [event for event in trace.profiler.kineto_results.events() if event.name() == "[memory]"]
        level = np.cumsum([event.nbytes() for event in sorted(sizes, key=lambda event: event.start_ns())])
        return int(level.max())

    assert 0 < peak(12) - peak(4) <= 8 * segmenter._bytes_per_object()


def test_an_object_does_not_depend_on_its_neighbours(segmenter):
    embedding = segmenter.encode(noise_image())
    [alone] = segmenter.decode(embedding, [[ONE_POINT]], PROMPTER, NATIVE)
    [beside, *_] = segmenter.decode(embedding, [[ONE_POINT], RAGGED], PROMPTER, NATIVE)
    assert (alone.mask != beside.mask).mean() <= 0.0005
    assert alone.scores == pytest.approx(beside.scores, abs=1e-5)


def test_overlap_counts_the_pixels_of_decoded_masks(segmenter):
    embedding = segmenter.encode(noise_image())
    truth = np.zeros((NATIVE.height, NATIVE.width), dtype=bool)
    truth[20:60, 30:90] = True
    sets = [[BOX], RAGGED, []]
    masks = [found.mask for found in segmenter.decode(embedding, sets, PROMPTER, NATIVE)]
    counts = segmenter.overlap(embedding, sets, truth, PROMPTER)
    assert counts == [(int((m & truth).sum()), int((m | truth).sum())) for m in masks]
    assert counts[2] == (0, 40 * 60)


def test_segmented_run_lengths_are_the_decoded_masks_at_every_size(segmenter):
    embedding = segmenter.encode(noise_image())
    sets, outs = [[BOX], RAGGED, []], (NATIVE, Frame.square(84), Frame(width=31, height=400))
    before = segmenter.counts.objects
    segmented = segmenter.segment(embedding, sets, PROMPTER, outs)
    assert segmenter.counts.objects - before == len(RAGGED)
    for place, out in enumerate(outs):
        for run_lengths, scored in zip(segmented, segmenter.decode(embedding, sets, PROMPTER, out), strict=True):
            assert run_lengths.masks[place] == masks.encode(scored.mask)
            assert run_lengths.scores == scored.scores


def test_images_of_any_size_are_encoded_in_batches(segmenter):
    images = [noise_image(0), noise_image(1)[:90, :60], noise_image(2)]
    together = segmenter.encode_many(images, batch_size=2)
    for image, embedding in zip(images, together, strict=True):
        alone = segmenter.encode(image)
        assert embedding.native == Frame(width=image.shape[1], height=image.shape[0])
        assert torch.allclose(embedding.image, alone.image, atol=1e-4)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(embedding.high_res, alone.high_res, strict=True))


def test_an_object_without_prompts_is_refused(segmenter):
    with pytest.raises(InputError, match="neither a box nor a point"):
        segmenter.decode(segmenter.encode(noise_image()), [[PromptObject()]], PROMPTER, NATIVE)


def test_the_segmenter_is_frozen(segmenter):
    assert not segmenter.model.training
    assert not any(parameter.requires_grad for parameter in segmenter.model.parameters())


def test_objects_in_one_call_are_those_of_single_calls_where_onednn_computes(monkeypatch):
    monkeypatch.setattr(products, "WORTH_ONEDNN", 2**14)
    embedding = random_segmenter().encode(noise_image())
    for multimask in (False, True):
        several, single = (
            random_segmenter(at_once=count).decode(embedding, [[item] for item in RAGGED], PROMPTER, NATIVE, multimask)
            for count in (100, 1)
        )
        for one, other in zip(several, single, strict=True):
            assert (one.mask != other.mask).mean() <= 0.0005
            assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_images_asked_in_turns_keep_their_own_masks(monkeypatch: pytest.MonkeyPatch):
    """What does not depend on prompts is prepared once for calls about one image, and anew for another one."""
    prepare, prepared = sam2.prepare, []

    def counted(*args):
        prepared.append(args)
        return prepare(*args)

    monkeypatch.setattr(sam2, "prepare", counted)
    images = [noise_image(1), noise_image(2)]
    expected = []
    for image in images:
        fresh = random_segmenter()
        expected.append(fresh.decode(fresh.encode(image), [RAGGED], PROMPTER, NATIVE)[0].mask)
    assert (expected[0] != expected[1]).any()
    segmenter = random_segmenter()
    embeddings = [segmenter.encode(image) for image in images]
    prepared.clear()
    for place in (0, 0, 1, 1, 0):
        [result] = segmenter.decode(embeddings[place], [RAGGED], PROMPTER, NATIVE)
        assert (result.mask == expected[place]).all()
    assert len(prepared) == 3
