"""Pictures of samples: an image with its masks and prompts, and sheets of thumbnails.

The pictures can be read quickly, and by people who cannot tell red from green: a box, a disc and a cross differ in
shape and in colour, the prediction is a blue layer, and the ground truth is a yellow line.
"""

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject

Colour = tuple[int, int, int]

RED = (230, 25, 45)
GREEN = (0, 190, 80)
BLUE = (45, 120, 255)
YELLOW = (255, 214, 10)
WHITE = (255, 255, 255)
PAPER = (238, 240, 242)

PANEL_HEIGHT = 240
"""The default height of a panel in pixels."""
OVERSAMPLE = 3
"""Everything is rendered this many times too large and then averaged, because lines of whole pixels have steps."""
WIDEST = 2.0
"""A panel is at most this many times as wide as it may be high. A wider image is scaled to that width."""


def panel(
    image: NDArray[np.uint8],
    prompts: Sequence[PromptObject] = (),
    source: Frame | None = None,
    predicted: NDArray[np.bool_] | None = None,
    truth: NDArray[np.bool_] | None = None,
    height: int = PANEL_HEIGHT,
) -> Image.Image:
    """The picture of one sample.

    Args:
        image: uint8 (H, W, 3), native size.
        prompts: boxes (red), positive points (green discs) and negative points (red crosses).
        source: the frame of the prompts, mostly the prompter's square. Needed if there are prompts.
        predicted: boolean mask at any size, for the whole image: a blue layer with a blue rim.
        truth: boolean mask at any size: a yellow outline, and a yellow layer too if there is no prediction.
        height: of the panel in pixels. An image wider than ``WIDEST`` × ``height`` gets a lower panel.

    Returns:
        RGB, at the image's own proportions.

    Raises:
        InputError: if there are prompts and no frame for them, or the image is not uint8 (H, W, 3).
    """
    canvas = _scaled(image, height)
    frame = Frame(*canvas.size)
    if predicted is not None:
        canvas = _with_mask(canvas, predicted, BLUE, opacity=0.45, rim=1.0)
    if truth is not None:
        canvas = _with_mask(canvas, truth, YELLOW, opacity=0.35 if predicted is None else 0.0, rim=1.75, shadow=1.0)
    if not prompts:
        return canvas
    if source is None:
        raise InputError("A panel with prompts needs the frame of the prompts.")
    layer = Image.new("RGBA", (frame.width * OVERSAMPLE, frame.height * OVERSAMPLE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    moved = [prompt.moved(source, frame) for prompt in prompts]
    for prompt in moved:
        if prompt.bbox is not None:
            _render_box(pen, prompt.bbox, frame)
    for prompt in moved:
        for point in prompt.positive_points:
            _render_disc(pen, point, frame)
        for point in prompt.negative_points:
            _render_cross(pen, point, frame)
    layer = layer.resize(canvas.size, Image.Resampling.BOX)
    return Image.alpha_composite(canvas.convert("RGBA"), layer).convert("RGB")


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_] | None] | None = None,
    columns: int = 6,
    cell: int = 128,
    gap: int = 4,
) -> Image.Image:
    """Thumbnails in rows, each centred in a ``cell`` × ``cell`` square.

    Args:
        images: uint8 (H, W, 3) each. The sizes may differ.
        masks: one boolean mask or None per image. A mask is a blue layer.
        columns: the most thumbnails in a row.
        cell: the side of a square in pixels.
        gap: the space between the squares in pixels.

    Raises:
        InputError: if there is no image, or the number of masks differs from that of images.
    """
    if not images:
        raise InputError("A contact sheet needs at least one image.")
    masks = [None] * len(images) if masks is None else masks
    if len(masks) != len(images):
        raise InputError(f"A contact sheet got {len(images)} images and {len(masks)} masks: give one mask per image.")
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
    """The picture as a ``data:`` address, a JPEG with full colour resolution, because thin red lines need it."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _scaled(image: NDArray[np.uint8], height: int) -> Image.Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"A panel needs a uint8 image (H, W, 3), not {image.dtype} {image.shape}.")
    scale = min(height / image.shape[0], WIDEST * height / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def _with_mask(
    canvas: Image.Image,
    mask: NDArray[np.bool_],
    colour: Colour,
    opacity: float,
    rim: float,
    shadow: float = 0.0,
) -> Image.Image:
    """The canvas with a mask: a layer of that opacity with a rim and a dark line around it.

    ``rim`` and ``shadow`` are widths in panel pixels. The rim lies on the mask's own pixels. The dark line outside it
    makes the rim visible on any background.
    """
    size = (canvas.width * OVERSAMPLE, canvas.height * OVERSAMPLE)
    if not mask.any():
        return canvas
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    # Below one half, so that a target of a fifth of a panel pixel is still visible.
    fine = np.asarray(grey) >= 76
    inner = _eroded(fine, round(rim * OVERSAMPLE))
    outer = ~_eroded(~fine, round(shadow * OVERSAMPLE))
    pixels = np.asarray(canvas).astype(np.float32)
    layers = ((outer & ~fine, (0, 0, 0), 0.7), (fine, colour, opacity), (fine & ~inner, colour, 1.0))
    for region, layer_colour, layer_opacity in layers:
        cover = np.asarray(Image.fromarray(region.astype(np.uint8) * 255).resize(canvas.size, Image.Resampling.BOX))
        share = (cover.astype(np.float32) * (layer_opacity / 255))[..., None]
        pixels = (1 - share) * pixels + share * np.array(layer_colour, np.float32)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _eroded(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The mask without its pixels nearer than ``steps`` to the outside. Beyond the image's border counts as inside."""
    for _ in range(steps):
        before, mask = mask, mask.copy()
        mask[1:] &= before[:-1]
        mask[:-1] &= before[1:]
        mask[:, 1:] &= before[:, :-1]
        mask[:, :-1] &= before[:, 1:]
    return mask


def _inside(point: Point, frame: Frame) -> tuple[int, int] | None:
    """The panel pixel of a point, at the border if the point is outside; None if it is not a finite number."""
    if not (math.isfinite(point[0]) and math.isfinite(point[1])):
        return None
    x = min(max(math.floor(point[0]), 0), frame.width - 1)
    y = min(max(math.floor(point[1]), 0), frame.height - 1)
    return x, y


def _render_box(pen: ImageDraw.ImageDraw, box: Box, frame: Frame) -> None:
    corner, opposite = _inside((box[0], box[1]), frame), _inside((box[2], box[3]), frame)
    if corner is None or opposite is None:
        return
    (xa, ya), (xb, yb) = corner, opposite
    left, top, right, bottom = min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)

    def rectangle(grow: int, colour: Colour, width: int) -> None:
        # `grow` panel pixels larger on every side. Pillow's rectangles include their last pixel.
        low = ((left - grow) * OVERSAMPLE, (top - grow) * OVERSAMPLE)
        high = ((right + grow + 1) * OVERSAMPLE - 1, (bottom + grow + 1) * OVERSAMPLE - 1)
        pen.rectangle((*low, *high), outline=(*colour, 255), width=width * OVERSAMPLE)

    rectangle(1, WHITE, 1)
    rectangle(0, RED, 2)


def _render_disc(pen: ImageDraw.ImageDraw, point: Point, frame: Frame, radius: float = 4.0) -> None:
    centre = _inside(point, frame)
    if centre is None:
        return
    x, y = ((c + 0.5) * OVERSAMPLE for c in centre)
    for grow, colour in ((1.5, WHITE), (0.0, GREEN)):
        reach = (radius + grow) * OVERSAMPLE
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255))


def _render_cross(pen: ImageDraw.ImageDraw, point: Point, frame: Frame, radius: float = 4.5) -> None:
    centre = _inside(point, frame)
    if centre is None:
        return
    x, y = ((c + 0.5) * OVERSAMPLE for c in centre)
    for grow, colour, width in ((1.2, WHITE, 5), (0.0, RED, 3)):
        reach = (radius + grow) * OVERSAMPLE
        for slope in (1, -1):
            ends = (x - reach, y - slope * reach, x + reach, y + slope * reach)
            pen.line(ends, fill=(*colour, 255), width=width * OVERSAMPLE)
