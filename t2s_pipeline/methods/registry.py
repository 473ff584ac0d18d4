"""The methods by name. A method of your own is one file like those imported here, and one entry below.

From outside this package, ``METHODS.register(Method(...))`` in a module that ``T2S_EXTENSIONS`` names does the same.
"""

from t2s_pipeline.core.registry import Registry
from t2s_pipeline.methods.method import Method
from t2s_pipeline.methods.remote_reasoner import REMOTE_REASONER
from t2s_pipeline.methods.seg_zero import SEG_ZERO
from t2s_pipeline.methods.think2seg import THINK2SEG
from t2s_pipeline.methods.vision_reasoner import VISION_REASONER

METHODS: Registry[Method] = Registry("method", (THINK2SEG, SEG_ZERO, VISION_REASONER, REMOTE_REASONER))
"""Every method, by name, in the order in which tables show them."""


def embedded_methods() -> dict[str, Method]:
    """The methods that can be trained on the embedded default, by name."""
    return {method.name: method for method in METHODS.values() if method.embedded is not None}


def methods_with_labels() -> dict[str, Method]:
    """The methods that learn from pseudo-labels, by name."""
    return {method.name: method for method in METHODS.values() if method.labels}


def labellings_in_use() -> list[str]:
    """The names of the labellings that the methods learn from, each once."""
    return list(dict.fromkeys(method.labels for method in methods_with_labels().values()))
