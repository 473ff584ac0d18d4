"""The labellings by name, with the settings that they have unless somebody says otherwise."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.overrides import replaced
from t2s_pipeline.pseudo_labels.remote_reasoner import RemoteReasonerLabels
from t2s_pipeline.pseudo_labels.seg_zero import SegZeroLabels
from t2s_pipeline.pseudo_labels.vision_reasoner import VisionReasonerLabels

Labelling = SegZeroLabels | VisionReasonerLabels | RemoteReasonerLabels
"""``label`` makes the pseudo-labels of a mask; the fields are the parameters that are recorded with them."""

LABELLINGS: dict[str, Labelling] = {
    labelling.name: labelling for labelling in (SegZeroLabels(), VisionReasonerLabels(), RemoteReasonerLabels())
}


def labelling(name: str, overrides: Iterable[str] = ()) -> Labelling:
    """A labelling with ``key=value`` settings changed, e.g. ``eps=7``.

    Raises:
        InputError: for an unknown name or setting, or a value that does not fit it.
    """
    if name not in LABELLINGS:
        raise InputError(f"There is no labelling {name!r}; there are {', '.join(LABELLINGS)}.")
    chosen = LABELLINGS[name]
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise InputError(f"{override!r} is not key=value.")
        chosen = replaced(chosen, [key.strip()], text.strip(), key.strip())
    return chosen


def recorded(name: str, settings: dict) -> Labelling:
    """The labelling with the settings that ``parameters`` recorded."""
    return replace(LABELLINGS[name], **{key: value for key, value in settings.items() if key != "method"})


def parameters(chosen: Labelling) -> str:
    """The settings as JSON, for the table."""
    return json.dumps({"method": chosen.name, **asdict(chosen)}, sort_keys=True)
