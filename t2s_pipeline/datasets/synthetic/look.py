"""How a scene looks: palettes, scales, light and texture, in one frozen value.

`EMBEDDED` is the look of the dataset. `FOREIGN` has the same categories and shapes, but other ground, other colours,
hazier light, and slightly larger objects, of which there is mostly one per category. A prompter that is taught on
FOREIGN lacks what a general model lacks on aerial images: the domain, and that a question may mean several objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RGB = tuple[int, int, int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Terrain:
    """One kind of ground. Lengths are in units: 1/168 of the canvas (the geometric mean of its sides)."""

    grounds: tuple[RGB, ...]
    seam: RGB = (120, 110, 90)  # colour between parcels: a track, a hedge, a street
    parcel: Range | None = None  # parcel side; None is open land, no parcels
    seam_width: Range = (0.8, 1.6)
    rows: float = 0.0  # contrast of plough rows, as a share of brightness
    mottle: float = 0.16  # contrast of large patches
    trees: tuple[int, int] = (0, 20)
    tree: RGB = (48, 70, 38)
    road: RGB = (138, 134, 128)


@dataclass(frozen=True)
class Look:
    """The parameters of a look. For each range, every scene takes one number, uniformly distributed."""

    name: str
    terrains: tuple[Terrain, ...]
    colours: Mapping[str, tuple[RGB, ...]] = field(hash=False)  # category: base colours, one per object
    instance_shares: tuple[float, float, float, float]  # of 1, 2, 3 and 4 objects of a category
    object_scale: float = 1.0
    empty_share: float = 0.05  # of scenes in which the asked category is absent
    shadow_depth: Range = (0.45, 0.65)  # brightness that remains in a shadow
    shadow_length: Range = (0.7, 1.5)  # times an object's height
    gain: tuple[Range, Range, Range] = ((0.92, 1.08), (0.94, 1.06), (0.9, 1.08))  # red, green, blue
    brightness: Range = (0.88, 1.12)
    haze: Range = (0.0, 0.1)  # share of haze_colour mixed in
    haze_colour: RGB = (190, 200, 210)
    grain: Range = (5.0, 11.0)  # sensor noise, amplitude in grey levels
    blur: Range = (0.35, 0.75)  # Gaussian radius in native pixels


EMBEDDED = Look(
    name="embedded",
    terrains=(
        Terrain(  # farmland
            grounds=(
                (122, 128, 74),
                (146, 132, 88),
                (98, 112, 62),
                (164, 148, 106),
                (112, 98, 70),
                (132, 142, 84),
            ),
            seam=(92, 92, 62),
            parcel=(34, 70),
            rows=0.10,
            trees=(4, 26),
        ),
        Terrain(  # grassland
            grounds=((108, 120, 72), (128, 132, 82), (92, 106, 62), (140, 136, 94)),
            mottle=0.28,
            trees=(14, 60),
        ),
        Terrain(  # dry land
            grounds=((186, 164, 126), (170, 146, 110), (198, 178, 142), (158, 136, 104)),
            mottle=0.2,
            trees=(0, 22),
            tree=(92, 92, 62),
            road=(160, 148, 128),
        ),
        Terrain(  # urban blocks
            grounds=((134, 132, 122), (118, 122, 92), (150, 144, 132), (104, 112, 78), (126, 120, 108)),
            seam=(104, 104, 106),
            parcel=(30, 56),
            seam_width=(3.0, 4.5),
            mottle=0.2,
            trees=(16, 60),
            tree=(54, 74, 44),
            road=(106, 106, 108),
        ),
    ),
    colours={
        "storage_tank": ((226, 226, 220), (212, 214, 212), (232, 226, 212)),
        "swimming_pool": ((62, 186, 210), (74, 198, 214), (50, 168, 204)),
        "runway": ((112, 112, 114), (126, 124, 122), (98, 99, 103)),
        "parking_lot": ((82, 82, 86), (92, 91, 92), (74, 75, 80)),
        "house": ((168, 78, 56), (146, 70, 52), (128, 76, 54), (182, 94, 66)),
        "warehouse": ((204, 206, 208), (190, 198, 206), (214, 210, 200)),
        "lake": ((30, 66, 74), (36, 72, 66), (28, 58, 78)),
        "running_track": ((178, 74, 54), (188, 84, 60), (166, 66, 54)),
        "solar_farm": ((30, 40, 78), (36, 46, 88), (26, 36, 66)),
        "pivot_field": ((84, 156, 58), (98, 168, 64), (76, 142, 60)),
    },
    instance_shares=(0.45, 0.30, 0.15, 0.10),
)

FOREIGN = Look(
    name="foreign",
    terrains=(
        Terrain(  # red soil
            grounds=((162, 104, 74), (148, 92, 66), (176, 120, 86)),
            mottle=0.26,
            trees=(4, 30),
            tree=(78, 92, 46),
            road=(196, 150, 112),
        ),
        Terrain(  # winter plots
            grounds=((196, 196, 190), (178, 180, 176), (164, 160, 148), (208, 208, 206)),
            seam=(132, 130, 124),
            parcel=(40, 80),
            rows=0.05,
            trees=(4, 24),
            tree=(72, 76, 66),
            road=(112, 110, 110),
        ),
        Terrain(  # wet meadow
            grounds=((82, 116, 92), (68, 102, 84), (98, 128, 100), (76, 96, 70)),
            mottle=0.34,
            trees=(6, 30),
            tree=(30, 58, 48),
            road=(170, 164, 150),
        ),
        Terrain(  # steppe
            grounds=((180, 160, 96), (166, 144, 86), (194, 176, 116)),
            parcel=(50, 90),
            seam=(150, 132, 88),
            rows=0.04,
            mottle=0.22,
            trees=(0, 12),
            tree=(110, 104, 54),
        ),
    ),
    colours={
        "storage_tank": ((206, 214, 190), (190, 198, 206), (222, 208, 176)),
        "swimming_pool": ((70, 150, 224), (84, 214, 200), (60, 132, 208)),
        "runway": ((158, 154, 146), (76, 76, 82), (172, 166, 156)),
        "parking_lot": ((128, 122, 118), (62, 64, 70), (142, 138, 132)),
        "house": ((206, 116, 66), (112, 58, 62), (214, 128, 92), (132, 62, 44)),
        "warehouse": ((168, 190, 208), (226, 222, 214), (176, 196, 188)),
        "lake": ((44, 84, 104), (62, 82, 62), (24, 48, 60)),
        "running_track": ((204, 104, 72), (150, 58, 62), (196, 92, 88)),
        "solar_farm": ((48, 40, 84), (22, 28, 48), (50, 64, 112)),
        "pivot_field": ((132, 172, 66), (58, 126, 66), (150, 184, 88)),
    },
    instance_shares=(0.92, 0.05, 0.02, 0.01),
    object_scale=1.12,
    shadow_depth=(0.55, 0.8),
    shadow_length=(0.3, 1.0),
    gain=((0.98, 1.16), (0.92, 1.06), (0.8, 1.02)),
    brightness=(0.84, 1.16),
    haze=(0.08, 0.24),
    haze_colour=(214, 202, 182),
    grain=(8.0, 18.0),
    blur=(0.5, 1.0),
)
