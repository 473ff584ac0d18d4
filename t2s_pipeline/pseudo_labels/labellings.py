"""The labellings by name, with their default parameters."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from operator import attrgetter
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.overrides import with_setting
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.pseudo_labels.label import Labelling
from t2s_pipeline.pseudo_labels.remote_reasoner import RemoteReasonerLabels
from t2s_pipeline.pseudo_labels.seg_zero import SegZeroLabels
from t2s_pipeline.pseudo_labels.vision_reasoner import VisionReasonerLabels

LABELLINGS: Registry[Labelling] = Registry(
    "labelling", (SegZeroLabels(), VisionReasonerLabels(), RemoteReasonerLabels()), key=attrgetter("name")
)
"""Every labelling, by name."""


def labelling(name: str, overrides: Iterable[str] = ()) -> Labelling:
    """A labelling with changed parameters.

    Args:
        name: of the labelling.
        overrides: ``key=value``, for example ``eps=7``.

    Raises:
        InputError: for an unknown name or parameter, or a value that does not fit it.
    """
    changed = LABELLINGS.named(name)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"{override!r} is not key=value.")
        changed = with_setting(changed, [key.strip()], text.strip(), key.strip())
    return changed


def recorded(name: str, settings: Mapping[str, Any]) -> Labelling:
    """The labelling with the parameters that were recorded with labels, by ``parameters``.

    Raises:
        InputError: for an unknown name.
    """
    return replace(LABELLINGS.named(name), **{key: value for key, value in settings.items() if key != "method"})


def parameters(labelling: Labelling) -> str:
    """The parameters as JSON, for the table."""
    return json.dumps({"method": labelling.name, **asdict(labelling)}, sort_keys=True)
