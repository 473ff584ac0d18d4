"""Pictures of samples: an image with its masks and prompts drawn on it, and sheets of thumbnails.

Meant to be read at a glance and without telling red from green: a box, a disc and a cross differ in
shape as well as in colour, the prediction is a blue veil, the ground truth a yellow line.
"""

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

RED = (230, 25, 45)
GREEN = (0, 190, 80)
BLUE = (45, 120, 255)
YELLOW = (255, 214, 10)
WHITE = (255, 255, 255)
PAPER = (238, 240, 242)

PANEL_HEIGHT = 240
OVERSAMPLE = 3
"""Everything is drawn this many times too large and averaged down: lines of whole pixels have stairs."""
WIDEST = 2.0
"""A panel is at most this many times as wide as it may be high; a wider image is fitted to that width."""


def panel(
    image: np.ndarray,
    prompts: Sequence[PromptObject] = (),
    source: Frame | None = None,
    predicted: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    height: int = PANEL_HEIGHT,
) -> Image.Image:
    """One sample as a person looks at it.

    Args:
        image: uint8 (H, W, 3), native size.
        prompts: boxes (red), positive points (green discs) and negative points (red crosses), in ``source``.
        source: the frame of the prompts, mostly the prompter's square. Needed if there are prompts.
        predicted: boolean mask at any size, taken to cover the whole image: a blue veil with a blue rim.
        truth: boolean mask at any size: a yellow outline, and a yellow veil too where no prediction is given.
        height: of the panel in pixels. An image wider than ``WIDEST`` × ``height`` becomes lower instead.

    Returns:
        RGB, at the image's own proportions.

    Raises:
        InputError: if there are prompts and no frame for them, or the image is not uint8 (H, W, 3).
    """
    if prompts and source is None:
        raise InputError("prompts can only be drawn with the frame they live in")
    canvas = _scaled(image, height)
    frame = Frame(*canvas.size)
    if predicted is not None:
        canvas = _with_mask(canvas, predicted, BLUE, veil=0.45, rim=1.0)
    if truth is not None:
        canvas = _with_mask(canvas, truth, YELLOW, veil=0.35 if predicted is None else 0.0, rim=1.75, shadow=1.0)
    if not prompts:
        return canvas
    layer = Image.new("RGBA", (frame.width * OVERSAMPLE, frame.height * OVERSAMPLE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    moved = [prompt.moved(source, frame) for prompt in prompts]
    for prompt in moved:
        if prompt.bbox is not None:
            _draw_box(draw, prompt.bbox, frame)
    for prompt in moved:
        for point in prompt.positive_points:
            _draw_disc(draw, point, frame)
        for point in prompt.negative_points:
            _draw_cross(draw, point, frame)
    layer = layer.resize(canvas.size, Image.Resampling.BOX)
    return Image.alpha_composite(canvas.convert("RGBA"), layer).convert("RGB")


def contact_sheet(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray | None] | None = None,
    columns: int = 6,
    cell: int = 128,
    gap: int = 4,
) -> Image.Image:
    """Thumbnails in rows, each centred in a ``cell`` × ``cell`` square.

    Args:
        images: uint8 (H, W, 3) each, sizes may differ.
        masks: as many boolean masks or None; a mask is a blue veil.

    Raises:
        InputError: if there is no image, or not one mask an image.
    """
    if not images:
        raise InputError("a contact sheet needs at least one image")
    masks = [None] * len(images) if masks is None else masks
    if len(masks) != len(images):
        raise InputError(f"a contact sheet got {len(images)} images and {len(masks)} masks")
    columns = max(1, min(columns, len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * (cell + gap) + gap), PAPER)
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        tall = image.shape[0] >= image.shape[1]
        height = cell if tall else max(1, round(cell * image.shape[0] / image.shape[1]))
        thumbnail = panel(image, predicted=mask, height=height)
        thumbnail.thumbnail((cell, cell))
        left = gap + (index % columns) * (cell + gap) + (cell - thumbnail.width) // 2
        top = gap + (index // columns) * (cell + gap) + (cell - thumbnail.height) // 2
        sheet.paste(thumbnail, (left, top))
    return sheet


def data_uri(image: Image.Image, quality: int = 86) -> str:
    """The picture as a ``data:`` address: JPEG at full colour resolution, because thin red lines need it."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _scaled(image: np.ndarray, height: int) -> Image.Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"a panel needs a uint8 image (H, W, 3), not {image.dtype} {image.shape}")
    scale = min(height / image.shape[0], WIDEST * height / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def _with_mask(
    canvas: Image.Image,
    mask: np.ndarray,
    colour: tuple[int, int, int],
    veil: float,
    rim: float,
    shadow: float = 0.0,
) -> Image.Image:
    """The mask as a veil of that opacity, inside a rim so many panel pixels wide, inside a dark line so wide.

    The rim lies on the mask's own pixels; the dark line outside it makes the rim show on any ground.
    """
    size = (canvas.width * OVERSAMPLE, canvas.height * OVERSAMPLE)
    if not mask.any():
        return canvas
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    # Below one half, so that a target a fifth of a panel pixel thin still shows.
    fine = np.asarray(grey) >= 76
    inner = _eroded(fine, round(rim * OVERSAMPLE))
    outer = ~_eroded(~fine, round(shadow * OVERSAMPLE))
    pixels = np.asarray(canvas).astype(np.float32)
    for region, paint, opacity in ((outer & ~fine, (0, 0, 0), 0.7), (fine, colour, veil), (fine & ~inner, colour, 1.0)):
        cover = np.asarray(Image.fromarray(region.astype(np.uint8) * 255).resize(canvas.size, Image.Resampling.BOX))
        share = (cover.astype(np.float32) * (opacity / 255))[..., None]
        pixels = (1 - share) * pixels + share * np.array(paint, np.float32)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """The mask without its pixels nearer than ``steps`` to the outside; the image's border counts as inside."""
    for _ in range(steps):
        before, mask = mask, mask.copy()
        mask[1:] &= before[:-1]
        mask[:-1] &= before[1:]
        mask[:, 1:] &= before[:, :-1]
        mask[:, :-1] &= before[:, 1:]
    return mask


def _inside(point: Point, frame: Frame) -> tuple[int, int] | None:
    """The panel pixel of a point, moved to the border if it lies outside; None if it is not a number."""
    if not (math.isfinite(point[0]) and math.isfinite(point[1])):
        return None
    x = min(max(math.floor(point[0]), 0), frame.width - 1)
    y = min(max(math.floor(point[1]), 0), frame.height - 1)
    return x, y


def _draw_box(draw: ImageDraw.ImageDraw, box: Box, frame: Frame) -> None:
    corners = _inside((box[0], box[1]), frame), _inside((box[2], box[3]), frame)
    if None in corners:
        return
    (xa, ya), (xb, yb) = corners
    left, top, right, bottom = min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)

    def rectangle(grow: int, colour: tuple[int, int, int], width: int) -> None:
        # `grow` panel pixels further out on every side; Pillow's rectangles hold their last pixel.
        low = ((left - grow) * OVERSAMPLE, (top - grow) * OVERSAMPLE)
        high = ((right + grow + 1) * OVERSAMPLE - 1, (bottom + grow + 1) * OVERSAMPLE - 1)
        draw.rectangle((*low, *high), outline=(*colour, 255), width=width * OVERSAMPLE)

    rectangle(1, WHITE, 1)
    rectangle(0, RED, 2)


def _draw_disc(draw: ImageDraw.ImageDraw, point: Point, frame: Frame, radius: float = 4.0) -> None:
    centre = _inside(point, frame)
    if centre is None:
        return
    x, y = ((c + 0.5) * OVERSAMPLE for c in centre)
    for grow, colour in ((1.5, WHITE), (0.0, GREEN)):
        reach = (radius + grow) * OVERSAMPLE
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255))


def _draw_cross(draw: ImageDraw.ImageDraw, point: Point, frame: Frame, radius: float = 4.5) -> None:
    centre = _inside(point, frame)
    if centre is None:
        return
    x, y = ((c + 0.5) * OVERSAMPLE for c in centre)
    for grow, colour, width in ((1.2, WHITE, 5), (0.0, RED, 3)):
        reach = (radius + grow) * OVERSAMPLE
        for slope in (1, -1):
            ends = (x - reach, y - slope * reach, x + reach, y + slope * reach)
            draw.line(ends, fill=(*colour, 255), width=width * OVERSAMPLE)
