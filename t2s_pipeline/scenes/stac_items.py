"""STAC items as files: the raster that an item names, and the time at which it was taken.

Source: the STAC item specification, version 1.0 and 1.1 (https://github.com/radiantearth/stac-spec). Only the few
fields that are needed are read. Only rasters on this machine are taken.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from t2s_pipeline.core.outside_files import OutsideFileError, outside_json, shown

PREFERRED = ("visual", "data")
"""Names and roles of the asset that is asked, the first that is there."""

IMAGE_TYPES = ("image/tiff", "image/jp2", "image/png", "image/jpeg")
"""Media types of rasters, by their beginning."""

IMAGE_ENDINGS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".img")
"""Endings of rasters, for assets that state no media type."""


@dataclass(frozen=True)
class StacItem:
    """A STAC item.

    Attributes:
        path: the JSON file.
        raster: the file that it names, with links followed; None if it names no raster on this machine.
        time: when the scene was taken, UTC; None if the item does not say.
        fault: why there is no raster; empty if there is one.
    """

    path: Path
    raster: Path | None
    time: datetime | None
    fault: str = ""


def read_item(path: Path) -> StacItem | None:
    """The item in a JSON file; None if the file is JSON and no STAC item."""
    try:
        content = outside_json(path)
    except OutsideFileError as error:
        return StacItem(path, None, None, str(error))
    if not isinstance(content, dict) or content.get("type") != "Feature" or "stac_version" not in content:
        return None
    time = _time(content.get("properties"))
    assets = content.get("assets")
    rasters = _rasters(assets) if isinstance(assets, dict) else {}
    name = _chosen(rasters)
    if name is None:
        listed = ", ".join(map(shown, rasters))
        what = f"names several rasters ({listed}) and calls none of them visual" if rasters else "names no raster"
        return StacItem(path, None, time, f"The STAC item {path} {what}: give one asset the role visual.")
    href = rasters[name]["href"]
    raster = _local(path.parent, href)
    if raster is None or not raster.is_file():
        fault = f"The STAC item {path} names {shown(href)}, which is no file on this machine."
        return StacItem(path, None, time, fault)
    return StacItem(path, raster, time)


def _rasters(assets: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The assets that are rasters."""
    rasters = {}
    for name, asset in assets.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            continue
        kind, roles = asset.get("type"), asset.get("roles")
        is_small = isinstance(roles, list) and bool({"thumbnail", "overview"} & set(filter(_is_text, roles)))
        ending = os.path.splitext(urlsplit(asset["href"]).path)[1].lower()
        is_image = kind.startswith(IMAGE_TYPES) if isinstance(kind, str) else ending in IMAGE_ENDINGS
        if is_image and not is_small:
            rasters[name] = asset
    return rasters


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _chosen(rasters: Mapping[str, dict[str, Any]]) -> str | None:
    """The name of the asset that is asked; None if there is none, or no reason to prefer one of several."""
    for word in PREFERRED:
        named = [name for name in rasters if name == word]
        named += [name for name, asset in rasters.items() if word in (asset.get("roles") or ())]
        if named and (word == PREFERRED[0] or len(set(named)) == 1):
            return named[0]
    return next(iter(rasters)) if len(rasters) == 1 else None


def _local(folder: Path, href: str) -> Path | None:
    """The file that a reference means, with links followed; None if it is not on this machine."""
    parts = urlsplit(href)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        href = unquote(parts.path)
    elif parts.scheme:
        return None
    if not href or "\0" in href:
        return None
    return Path(os.path.realpath(folder / href))


def _time(properties: object) -> datetime | None:
    """``datetime`` of an item, or ``start_datetime`` of one that covers a period."""
    if not isinstance(properties, dict):
        return None
    for name in ("datetime", "start_datetime"):
        text = properties.get(name)
        if isinstance(text, str):
            try:
                time = datetime.fromisoformat(text)
            except ValueError:
                continue
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return None
