"""What a panel shows is where the prompts and masks are, at any image size and however odd the prompts."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.panels import BLUE, GREEN, RED, YELLOW, contact_sheet, data_uri, panel

SQUARE = Frame.square(168)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def near(pixel, colour, tolerance=12) -> bool:
    return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= tolerance


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (224, 224, (240, 240)),
        (800, 600, (180, 240)),
        (720, 1249, (416, 240)),
        (360, 1249, (480, 138)),  # wider than twice the height: fitted to 480 instead
    ],
)
def test_panel_keeps_proportions_and_height(height, width, expected):
    assert panel(grey(height, width)).size == expected


@pytest.mark.parametrize(("height", "width"), [(224, 224), (300, 600), (1249, 900), (40, 40)])
def test_box_corners_are_red_where_the_square_maps_to_the_image(height, width):
    """A box from a quarter to three quarters of the prompter's square does so in the panel too."""
    picture = panel(grey(height, width), [PromptObject(bbox=(42, 42, 126, 126))], SQUARE)
    for x in (picture.width // 4, 3 * picture.width // 4):
        for y in (picture.height // 4, 3 * picture.height // 4):
            assert near(picture.getpixel((x, y)), RED)
    assert near(picture.getpixel((picture.width // 2, picture.height // 2)), (128, 128, 128))
    assert near(picture.getpixel((picture.width // 8, picture.height // 8)), (128, 128, 128))


def test_positive_point_is_a_green_disc_and_negative_a_red_cross():
    prompt = PromptObject(positive_points=((42, 84),), negative_points=((126, 84),))
    picture = panel(grey(240, 240), [prompt], SQUARE)
    assert near(picture.getpixel((60, 120)), GREEN)
    assert near(picture.getpixel((180, 120)), RED)
    # A disc fills what a cross leaves open straight above its centre.
    assert near(picture.getpixel((60, 117)), GREEN)
    assert not near(picture.getpixel((180, 115)), RED)


@pytest.mark.parametrize(
    "prompt",
    [
        PromptObject(bbox=(float("nan"), 0, 10, 10)),
        PromptObject(bbox=(1e30, -1e30, -1e30, 1e30)),
        PromptObject(positive_points=((float("inf"), 3),), negative_points=((1e12, -5),)),
    ],
)
def test_prompts_no_image_could_hold_do_not_stop_the_panel(prompt):
    assert panel(grey(100, 150), [prompt], SQUARE).size == (360, 240)


def test_box_beyond_the_frame_is_rendered_along_its_border():
    picture = panel(grey(240, 240), [PromptObject(bbox=(-50, -50, 400, 400))], SQUARE)
    assert near(picture.getpixel((0, 0)), RED)
    assert near(picture.getpixel((239, 239)), RED)


def test_predicted_mask_is_a_blue_veil_and_truth_a_yellow_line():
    mask = np.zeros((240, 480), bool)
    mask[60:180, 120:360] = True
    veiled = panel(grey(240, 480), predicted=mask)
    assert near(veiled.getpixel((120, 60)), BLUE)
    red, _, blue = veiled.getpixel((240, 120))
    assert blue > 160 and red < 110
    assert near(veiled.getpixel((60, 30)), (128, 128, 128))
    lined = panel(grey(240, 480), predicted=np.zeros_like(mask), truth=mask)
    assert near(lined.getpixel((120, 100)), YELLOW)
    assert near(lined.getpixel((240, 120)), (128, 128, 128))
    alone = panel(grey(240, 480), truth=mask)
    red, _, blue = alone.getpixel((240, 120))
    assert red > 160 and blue < 110


def test_masks_of_another_size_cover_the_same_part_of_the_image():
    """The reference protocol keeps masks at the square; on a wide image the left half stays the left half."""
    mask = np.zeros((168, 168), bool)
    mask[:, :84] = True
    picture = panel(grey(240, 480), predicted=mask)
    assert not near(picture.getpixel((235, 120)), (128, 128, 128))
    assert near(picture.getpixel((245, 120)), (128, 128, 128))


def test_a_target_of_one_native_pixel_row_still_shows():
    mask = np.zeros((1200, 1200), bool)
    mask[602] = True  # a fifth of panel row 120
    red, _, blue = panel(grey(1200, 1200), truth=mask).getpixel((120, 120))
    assert red - blue > 100


def test_an_empty_target_without_prompts_is_the_image_alone():
    nothing = np.zeros((240, 240), bool)
    picture = panel(grey(240, 240), [], SQUARE, predicted=nothing, truth=nothing)
    assert picture.getcolors() == [(240 * 240, (128, 128, 128))]


def test_prompts_without_their_frame_are_refused():
    with pytest.raises(InputError, match="frame"):
        panel(grey(10, 10), [PromptObject(bbox=(0, 0, 5, 5))])


@pytest.mark.parametrize(("shape", "kind"), [((8, 8), np.uint8), ((8, 8, 3), float), ((0, 8, 3), np.uint8)])
def test_what_is_not_an_rgb_image_is_refused(shape, kind):
    with pytest.raises(InputError, match="uint8"):
        panel(np.zeros(shape, kind))


def test_contact_sheet_places_every_image_in_its_cell():
    shapes = {10: (50, 50, 3), 60: (30, 90, 3), 110: (90, 30, 3), 160: (500, 400, 3)}
    images = [np.full(shape, value, np.uint8) for value, shape in shapes.items()]
    sheet = contact_sheet(images, columns=3, cell=60, gap=4)
    assert sheet.size == (3 * 64 + 4, 2 * 64 + 4)
    centres = [(34, 34), (98, 34), (162, 34), (34, 98)]
    assert [sheet.getpixel(at)[0] for at in centres] == [10, 60, 110, 160]


def test_contact_sheet_shows_masks_and_refuses_a_wrong_count():
    full = np.ones((20, 20), bool)
    sheet = contact_sheet([grey(20, 20), grey(20, 20)], [full, None], columns=2, cell=40, gap=0)
    left, right = sheet.getpixel((20, 20)), sheet.getpixel((60, 20))
    assert left[2] > left[0] + 40
    assert right == (128, 128, 128)
    with pytest.raises(InputError, match="2 images and 1 masks"):
        contact_sheet([grey(20, 20)] * 2, [None])
    with pytest.raises(InputError, match="at least one"):
        contact_sheet([])


def test_data_uri_holds_the_picture():
    head, body = data_uri(panel(grey(30, 60))).split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (480, 240)
