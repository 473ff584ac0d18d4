"""Writes tests/data/risbench and tests/data/refsegrs: their layouts with every oddity to be taken or set aside.

    python -m tests.data.make_phrases [FOLDER]

``train`` holds what must be read (a file's name says what is odd about it), ``val`` what must be set aside beside one
good line, ``test`` the largest image there is and a plain one. In every mask the target is that of make_earthreason:
columns 3 to 8, rows 2 to 5. RISBench lies below an extra top folder, beside what a Mac leaves in an archive.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.make_earthreason import file_of, label, picture, target

DATA = Path(__file__).resolve().parent
RISBENCH, REFSEGRS = DATA / "risbench" / "RISBench", DATA / "refsegrs"
LARGEST = 7617


class Tree:
    """Writes images and masks into two folders, and lines into phrase files."""

    def __init__(self, root: Path, images: str, masks: str, ending: str) -> None:
        self.root, self.images, self.masks, self.ending = root, images, masks, ending
        for folder in (images, masks):
            (root / folder).mkdir(parents=True)

    def put(self, path: str, data: bytes) -> None:
        (self.root / path).write_bytes(data)

    def picture(self, name: str, seed: int, image: bytes | None = None, mask: bytes | None = None) -> None:
        """An image and its mask of one stem; ``name`` with an ending of its own, if it has one."""
        kind = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[self.ending]
        stem, dot, _ = name.partition(".")
        name = name if dot else f"{stem}.{self.ending}"
        mask_kind = "PNG" if self.ending == "jpg" else kind
        mask_name = f"{stem}.{'png' if self.ending == 'jpg' else self.ending}"
        self.put(f"{self.images}/{name}", image or file_of(picture(seed), kind))
        self.put(f"{self.masks}/{mask_name}", mask or file_of(label(), mask_kind))

    def phrases(self, split: str, text: bytes) -> None:
        self.put(f"output_phrase_{split}.txt", text)


def turned() -> tuple[bytes, bytes]:
    """An image to be shown turned by a quarter, clockwise, and its mask as shown."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(picture(5), "JPEG", exif=exif), file_of(label(np.rot90(target(), -1)), "PNG")


def risbench(root: Path) -> None:
    tree = Tree(root, "img_rgb", "mask", "png")
    tree.picture("plain", 1)
    tree.picture("upper.PNG", 2)
    tree.picture("photo.jpg", 3, image=file_of(picture(3), "JPEG"))
    tree.picture("photo_long.jpeg", 4, image=file_of(picture(4), "JPEG"))
    image, mask = turned()
    tree.picture("turned.jpg", 5, image=image, mask=mask)
    tree.picture("cmyk.jpg", 6, image=file_of(picture(6).convert("CMYK"), "JPEG"))
    alpha = picture(7)
    alpha.putalpha(200)
    tree.picture("alpha", 7, image=file_of(alpha, "PNG"))
    deep = Image.fromarray(np.asarray(picture(8).convert("L"), dtype=np.uint16) * 11)
    tree.picture("sixteen_bits", 8, image=file_of(deep, "PNG"))
    for n, mode in enumerate(("1", "L", "P", "RGB", "RGBA", "I;16")):
        name = f"mask_{mode.replace(';', '_').lower()}"
        tree.picture(name, 10 + n, mask=file_of(label(mode=mode), "PNG"))
    white = Image.fromarray(target().astype(np.uint8) * 255)
    tree.picture("mask_of_0_and_255", 17, mask=file_of(white, "PNG"))
    tree.picture("nothing_there", 18, mask=file_of(label(np.zeros((12, 20), dtype=bool)), "PNG"))
    shutil.copyfile(root / "img_rgb" / "plain.png", root / "img_rgb" / "plain_again.png")
    shutil.copyfile(root / "mask" / "plain.png", root / "mask" / "plain_again.png")
    lines = [
        "plain.png the roof",
        "upper.png its ending is in capitals on the disk",
        "photo.png its ending is another one on the disk",
        "photo_long.jpeg a car",
        "turned.jpg a quay",
        "",
        "cmyk.jpg a field",
        "alpha.png a tank",
        "sixteen_bits.png a pond",
        *(f"mask_{mode}.png a court" for mode in ("1", "l", "p", "rgb", "rgba", "i_16")),
        "mask_of_0_and_255.png a court",
        "nothing_there.png a ship",
        "plain_again.png the same bytes under another name",
        "plain.png the  roof   of the   hall  ",
        "plain.png  la toiture près de l'étang, 屋顶",
    ]
    tree.phrases("train", b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    for path in ("img_rgb/._plain.png", "img_rgb/Thumbs.db", "mask/._plain.png", "mask/.DS_Store"):
        tree.put(path, b"\x00\x05\x16\x07clutter")
    (root.parent / "__MACOSX").mkdir()
    (root.parent / "__MACOSX" / "._RISBench").write_bytes(b"\x00\x05\x16\x07clutter")

    tree.picture("good", 20)
    cut = file_of(picture(21, 64, 64), "PNG")
    tree.picture("cut_short", 21, image=cut[: len(cut) // 2])
    tree.picture("mask_cut_short", 22, mask=file_of(label(mode="RGB"), "PNG")[:60])
    tree.picture("mask_of_another_size", 23, mask=file_of(label(np.ones((12, 19), dtype=bool)), "PNG"))
    tree.put("img_rgb/no_mask.png", file_of(picture(24), "PNG"))
    tree.put("mask/no_image.png", file_of(label(), "PNG"))
    tree.picture("too_large", 25, image=file_of(Image.new("1", (12_000, 10_000)), "PNG"))
    tree.picture("twice", 26)
    tree.put("img_rgb/twice.jpg", file_of(picture(27), "JPEG"))
    tree.put("img_rgb/archive.zip", b"PK\x03\x04never unpacked")
    (root / "img_rgb" / "leads_out.png").symlink_to("../../../earthreason/test/images/first.png")
    broken = [
        b"good.png the roof",
        b"cut_short.png the first phrase",
        b"cut_short.png the second phrase",
        b"mask_cut_short.png a car",
        b"mask_of_another_size.png a car",
        b"no_mask.png a car",
        b"no_image.png a car",
        b"too_large.png a car",
        b"twice.tif which of the two?",
        b"../../../earthreason/test/images/first.png a way out",
        b"/etc/passwd a way out",
        b"leads_out.png a way out",
        b"good.png",
        b"good.png caf\xe9",
        b"archive.zip a car",
    ]
    tree.phrases("val", b"\n".join(broken))

    blank = Image.new("1", (LARGEST, LARGEST))
    tree.picture("largest", 30, image=file_of(blank, "PNG"), mask=file_of(blank, "PNG"))
    tree.picture("last", 31)
    tree.phrases("test", b"largest.png a ship\rlast.png a roof\r")


def refsegrs(root: Path) -> None:
    tree = Tree(root, "images", "masks", "tif")
    tree.picture("1", 41)
    tree.picture("2.TIF", 42)
    tree.picture("3.png", 43, image=file_of(picture(43), "PNG"))
    # Only the first channel counts: the second one is white everywhere.
    colours = np.zeros((12, 20, 3), dtype=np.uint8)
    colours[..., 0], colours[..., 1] = target() * 255, 255
    tree.picture("4", 44, mask=file_of(Image.fromarray(colours), "TIFF"))
    tree.picture("5.5", 45)
    (root / "masks" / "5.tif").rename(root / "masks" / "5.5.tif")
    (root / "images" / "5.5").rename(root / "images" / "5.5.tif")
    lines = ["1 road", "1 paved  road along the vehicle", "2 car", "3 bâtiment", "4 car", "5.5 a dotted id"]
    tree.phrases("train", "\n".join(lines).encode())
    tree.picture("6", 46)
    tree.phrases("val", b"6 road\n7 there is no such image\n")
    tree.picture("8", 48)
    # The same bytes as in train: a leak that the check must tell.
    shutil.copyfile(root / "images" / "1.tif", root / "images" / "9.tif")
    shutil.copyfile(root / "masks" / "1.tif", root / "masks" / "9.tif")
    tree.phrases("test", b"8 road\n9 road\n")


def make(data: Path) -> None:
    risbench(data / "risbench" / "RISBench")
    refsegrs(data / "refsegrs")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    for name in ("risbench", "refsegrs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    make(folder)
