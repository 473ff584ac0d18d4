"""The models that commands can name: those of ``models.toml``, the embedded ones, and the published ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS, EMBEDDED_SEGMENTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_layout import newest_file, snapshot_folder
from t2s_pipeline.core.models import PROMPTER, SEGMENTER, entries, find_entry, place_of
from t2s_pipeline.core.weight_files import remembered_sha256, size_of, weight_files
from t2s_pipeline.prompters.families import published_models
from t2s_pipeline.segmenters.registry import SEGMENTERS, PublishedFile


@dataclass(frozen=True)
class KnownModel:
    """A model that commands can name.

    Attributes:
        name: the name for ``--set prompter=`` or ``segmenter=``.
        kind: ``prompter`` or ``segmenter``.
        title: the name in tables. It differs from ``name`` if other weights lie under the name of a published model.
        source: ``models.toml``, ``embedded`` or ``published``.
        place: its folder, file or Hub id.
        here: whether it is on this machine.
        size: of its weights on this machine, in bytes; None if it is not here.
        sha256: over its weights; empty if it is not known, or was not computed yet.
        licence: as its card states it; empty if it is not known.
        gated: whether the Hub gives it only to people who have accepted its conditions there.
        fault: why it is not here, if it should be.
    """

    name: str
    kind: str
    title: str
    source: str
    place: str
    here: bool = False
    size: int | None = None
    sha256: str = ""
    licence: str = ""
    gated: bool = False
    fault: str = ""


def known_models() -> list[KnownModel]:
    """Every model, those of ``models.toml`` first. Nothing is downloaded, and no large file is read."""
    return [*_named(), *_embedded(), *_published_prompters(), *_published_segmenters()]


def _named() -> Iterator[KnownModel]:
    for entry in entries():
        model = KnownModel(
            entry.name, entry.kind, entry.title, "models.toml", entry.path, sha256=entry.sha256, licence=entry.licence
        )
        if not entry.path:
            hub = replace(model, place=f"{entry.hub_id}@{entry.revision}")
            yield _at(hub, snapshot_folder(entry.hub_id, entry.revision))
            continue
        try:
            place = place_of(entry)
        except InputError as fault:
            yield replace(model, fault=str(fault))
        else:
            yield _at(replace(model, place=str(place)), place)


def _embedded() -> Iterator[KnownModel]:
    for name, folder in EMBEDDED_PROMPTERS.items():
        yield _at(KnownModel(name, PROMPTER, name, "embedded", str(folder)), folder)
    for segmenter in SEGMENTERS.values():
        if isinstance(segmenter.weights, Path):
            source = "embedded" if segmenter.weights in EMBEDDED_SEGMENTERS.values() else "registered"
            place = segmenter.weights
            yield _at(KnownModel(segmenter.name, SEGMENTER, segmenter.name, source, str(place)), place)


def _published_prompters() -> Iterator[KnownModel]:
    for item in published_models().values():
        if find_entry(PROMPTER, item.name) is None:
            model = KnownModel(item.name, PROMPTER, item.name, "published", item.hub_id, licence=item.licence)
            yield _at(replace(model, gated=item.gated), snapshot_folder(item.hub_id, item.revision))


def _published_segmenters() -> Iterator[KnownModel]:
    for item in SEGMENTERS.values():
        weights = item.weights
        if isinstance(weights, PublishedFile) and find_entry(SEGMENTER, item.name) is None:
            model = KnownModel(item.name, SEGMENTER, item.name, "published", weights.hub_id, licence=weights.licence)
            yield _at(replace(model, sha256=weights.sha256), newest_file(weights.hub_id, weights.file))


def _at(model: KnownModel, place: Path | None) -> KnownModel:
    """The model with what is known of its weights at a place: whether they are there, their size, their hash."""
    files = weight_files(place) if place is not None and place.exists() else []
    if not files:
        return model
    return replace(model, here=True, size=size_of(files), sha256=model.sha256 or remembered_sha256(files))
