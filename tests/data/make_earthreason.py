"""Writes tests/data/earthreason: EarthReason's layout with every oddity its reader must take or set aside.

    python -m tests.data.make_earthreason [FOLDER]

``train`` holds what must be read (each sample's name says what is odd about it), ``val`` what must be set aside
(beside one good sample), ``test`` two plain samples. In every label the target is the same: columns 3 to 8,
rows 2 to 5, so 24 pixels, turned with the image where the name says so.
"""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent / "earthreason"
WIDTH, HEIGHT = 20, 12
TARGET = (slice(2, 6), slice(3, 9))


def target() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[TARGET] = True
    return mask


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def label(mask: np.ndarray | None = None, mode: str = "L") -> Image.Image:
    """The target in one of the ways people store it."""
    mask = target() if mask is None else mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    match mode:
        case "L":
            # 1, not 255: any value but zero is target.
            return Image.fromarray(mask.astype(np.uint8))
        case "1" | "RGB":
            return grey.convert(mode)
        case "RGBA":
            # Opaque everywhere: alpha says nothing about the target. Blue alone marks it.
            image = np.zeros((*mask.shape, 4), dtype=np.uint8)
            image[..., 2], image[..., 3] = mask * 7, 255
            return Image.fromarray(image)
        case "P":
            # A palette whose first colour is white: indices would turn the mask inside out.
            image = Image.fromarray((~mask).astype(np.uint8), mode="P")
            image.putpalette([255, 255, 255, 0, 0, 0])
            return image
        case "I;16":
            # 256: a cast to eight bits would lose it.
            return Image.fromarray(mask.astype(np.uint16) * 256)
    raise ValueError(mode)


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def qa(*questions: str, answer: tuple[str, ...] = ("The roof.",)) -> bytes:
    return json.dumps({"questions": list(questions), "answer": list(answer)}, indent=1).encode()


class Split:
    """Writes files under ``<root>/<split>``."""

    def __init__(self, root: Path, split: str) -> None:
        self.folder = root / split
        for name in ("images", "labels", "QAs"):
            (self.folder / name).mkdir(parents=True)

    def put(self, path: str, data: bytes) -> None:
        (self.folder / path).write_bytes(data)

    def sample(self, stem: str, seed: int, *, leave_out: str = "", **files: bytes) -> None:
        """A good sample, of which ``image``, ``label`` and ``qas`` can be replaced, or one left out."""
        parts = {
            "image": ("images/{}.png", file_of(picture(seed), "PNG")),
            "label": ("labels/{}.png", file_of(label(), "PNG")),
            "qas": ("QAs/{}.json", qa("Where is it dry when it rains?", "What could carry solar panels?")),
        }
        for name, (path, data) in parts.items():
            if name != leave_out:
                self.put(path.format(stem), files.get(name, data))


def train(root: Path) -> None:
    split = Split(root, "train")
    png = file_of(label(), "PNG")
    split.put("images/a_six_questions.jpg", file_of(picture(1), "JPEG"))
    split.put("labels/a_six_questions.png", png)
    split.put("QAs/a_six_questions.json", qa(*(f"Question {n}?" for n in range(6))))
    split.put("images/b_upper.JPG", file_of(picture(2), "JPEG"))
    split.put("labels/b_upper.PNG", file_of(label(mode="RGB"), "PNG"))
    split.put("QAs/b_upper.JSON", qa("Where?"))
    with_alpha = file_of(picture(3).convert("RGBA"), "PNG")
    split.sample("c_alpha", 3, image=with_alpha, label=file_of(label(mode="RGBA"), "PNG"))
    grey16 = Image.fromarray(np.random.default_rng(4).integers(0, 4096, (HEIGHT, WIDTH)).astype(np.uint16))
    split.put("images/d_sixteen_bits.tif", file_of(grey16, "TIFF"))
    split.put("labels/d_sixteen_bits.png", file_of(label(mode="I;16"), "PNG"))
    split.put("QAs/d_sixteen_bits.json", qa("Where?"))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    split.put("images/e_turned.jpg", file_of(picture(5), "JPEG", exif=exif))
    split.put("labels/e_turned.png", file_of(label(np.rot90(target(), -1)), "PNG"))
    split.put("QAs/e_turned.json", qa("Where?"))
    split.put("images/f_grey_one_bit.jpeg", file_of(picture(6).convert("L"), "JPEG"))
    split.put("labels/f_grey_one_bit.png", file_of(label(mode="1"), "PNG"))
    split.put("QAs/f_grey_one_bit.json", qa("Where?"))
    split.sample("g_palette", 7, image=file_of(picture(7).quantize(16), "PNG"), label=file_of(label(mode="P"), "PNG"))
    nothing = file_of(label(np.zeros((HEIGHT, WIDTH), dtype=bool)), "PNG")
    split.sample("h_empty_target", 8, label=nothing, qas=qa("Where could a ship moor?", answer=()))
    text = json.dumps({"questions": ["Où est la piscine ?"], "answer": ["La piscine."]}, ensure_ascii=False)
    split.sample("i.dots_and_a_byte_order_mark", 9, qas=text.encode("utf-8-sig"))
    split.sample("j_cmyk", 10, image=file_of(picture(10).convert("CMYK"), "TIFF"))
    white = file_of(Image.fromarray(target().astype(np.uint8) * 255), "PNG")
    split.sample("k_label_of_0_and_255", 11, label=white)
    # What macOS and Windows leave in folders: no samples, no rejects.
    for path in ("images/._a_six_questions.jpg", "QAs/._a_six_questions.json", "labels/.DS_Store", "images/Thumbs.db"):
        split.put(path, b"\x00\x05\x16\x07clutter")


def val(root: Path) -> None:
    split = Split(root, "val")
    split.sample("good", 20)
    split.sample("no_label", 21, leave_out="label")
    split.sample("no_qa", 22, leave_out="qas")
    split.sample("no_image", 23, leave_out="image")
    cut = file_of(picture(24, 64, 64), "JPEG")
    split.sample("image_cut_short", 24, image=cut[: len(cut) // 2])
    split.sample("image_is_text", 25, image=b"<html>404 Not Found</html>")
    split.sample("image_is_nothing", 26, image=b"")
    split.sample("image_too_large", 27, image=file_of(Image.new("1", (12_000, 10_000)), "PNG"))
    split.sample("label_cut_short", 28, label=file_of(label(mode="RGB"), "PNG")[:60])
    split.sample("label_of_another_size", 29, label=file_of(label(np.ones((12, 19), dtype=bool)), "PNG"))
    split.sample("qa_cut_short", 30, qas=qa("Where?")[:20])
    split.sample("qa_is_a_list", 31, qas=b'["Where?"]')
    split.sample("qa_is_one_string", 32, qas=b'{"questions": "Where?", "answer": ["There."]}')
    split.sample("qa_one_blank", 33, qas=qa("First?", " \t", "Third?"))
    split.sample("qa_all_blank", 34, qas=qa("", " "))
    split.sample("qa_no_question", 35, qas=qa())
    split.sample("twin", 36)
    split.put("images/twin.tif", file_of(picture(37), "TIFF"))
    split.put("images/notes.txt", b"not of this layout")


def test(root: Path) -> None:
    split = Split(root, "test")
    split.sample("first", 40)
    split.sample("second", 41)


def make(root: Path) -> None:
    train(root)
    val(root)
    test(root)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    shutil.rmtree(folder, ignore_errors=True)
    make(folder)
