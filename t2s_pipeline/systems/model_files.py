"""Whether a folder holds a whole model: weights, configuration, tokenizer and image processor."""

import json
import struct
from pathlib import Path

from t2s_pipeline.core.errors import InputError

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
    names = {file.name for file in folder.iterdir() if file.is_file()}
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
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(f"{file.name} is not whole")
        try:
            header = json.loads(stream.read(length))
            ends = [value["data_offsets"][1] for key, value in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as fault:
            raise InputError(f"{file.name} is no safetensors file") from fault
    if size != 8 + length + max(ends, default=0):
        raise InputError(f"{file.name} is not whole")


def _require_shards(path: Path) -> None:
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InputError(f"{index.name} cannot be read") from fault
    missing = sorted(str(shard) for shard in shards if not (path / str(shard)).is_file())
    if missing:
        raise InputError(f"{len(missing)} of its files are missing, the first: {missing[0]}")
