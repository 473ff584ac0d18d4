"""Whether a folder holds a whole model: weights, configuration, tokenizer and image processor."""

import os
import struct
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import (
    INDEX_BYTES,
    bounded_json,
    entries_of,
    is_there,
    open_outside,
    outside_object,
    path_inside,
)

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors format for a file's header."""

_TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("vocab.json", "merges.txt"))
_PROCESSORS = (("preprocessor_config.json",), ("processor_config.json",))
"""The files of which transformers makes a tokenizer, and an image processor: all files of one of the alternatives."""


def holds_model_files(folder: Path) -> bool:
    """Whether a folder holds a model, or a part of one."""
    return (folder / "config.json").exists() or any(folder.glob("*.safetensors")) or any(folder.glob("*model*.bin"))


def require_complete(folder: Path) -> list[Path]:
    """The weight files of a folder, after a check that every file is there that a prompter needs.

    Raises:
        InputError: naming what is missing.
    """
    names = {file.name for file in entries_of(folder) if os.path.isfile(file)}
    weights = sorted(folder / name for name in names if name.endswith(".safetensors") and not name.startswith("."))
    if not weights or not names & {"config.json", "adapter_config.json"}:
        raise InputError("it holds no model: expected config.json (or adapter_config.json) and *.safetensors")
    for file in weights:
        _require_whole(file)
    _require_shards(folder)
    for alternatives, part in ((_TOKENIZERS, "tokenizer"), (_PROCESSORS, "image processor")):
        if not any(names.issuperset(needed) for needed in alternatives):
            missing, *others = (" with ".join(needed) for needed in alternatives)
            raise InputError(
                f"{missing} is missing, or {', or '.join(others)}: copy the files of the {part} of its base model here"
            )
    return weights


def _require_whole(file: Path) -> None:
    """The header of a safetensors file says how long the file is (https://huggingface.co/docs/safetensors)."""
    with open_outside(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(f"{file.name} is not whole")
        try:
            header = bounded_json(stream.read(length))
            ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
            is_whole = size == 8 + length + max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError) as fault:
            raise InputError(f"{file.name} is no safetensors file") from fault
    if not is_whole:
        raise InputError(f"{file.name} is not whole")


def _require_shards(path: Path) -> None:
    index = path / "model.safetensors.index.json"
    if not is_there(index):
        return
    shards = outside_object(index, INDEX_BYTES).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise InputError(f"{index.name} does not say which weights lie in which file")
    missing = sorted(shard for shard in set(shards.values()) if not os.path.isfile(path_inside(path, shard)))
    if missing:
        raise InputError(f"{len(missing)} of its files are missing, the first: {missing[0]}")
