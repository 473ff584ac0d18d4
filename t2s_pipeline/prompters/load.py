"""Prompters by name: the embedded miniature, a released model, or a folder with a checkpoint.  [torch]"""

import json
from pathlib import Path

from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.families import released
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompters.weights import folder_of, weights_sha256

ADAPTERS = "adapter_config.json"


def load_prompter(name_or_path: str, device: str = "cpu", coordinates: str = "pixels") -> Prompter:
    """The prompter of that name (``prompters.weights.folder_of``), run by transformers; it is seen to see.

    Args:
        coordinates: what it is asked to write, a recipe's choice.

    Raises:
        InputError: if there is none, or it is not on this machine.
        T2SError: if its answers do not depend on the image.
    """
    folder = folder_of(name_or_path)
    if (folder / ADAPTERS).is_file():
        prompter = _adapted(_name(name_or_path), folder, device, coordinates)
    else:
        prompter = Prompter(_name(name_or_path), folder, device, coordinates)
    prompter.check_sees()
    return prompter


def _adapted(name: str, folder: Path, device: str, coordinates: str) -> Prompter:
    """A base with the low-rank adapters of a folder, as training leaves them, added to its weights.

    Raises:
        InputError: if the base is not where the adapters say it was.
    """
    from peft import PeftModel

    base = json.loads((folder / ADAPTERS).read_text("utf-8"))["base_model_name_or_path"]
    prompter = Prompter(name, folder_of(base), device, coordinates)
    prompter.model = PeftModel.from_pretrained(prompter.model, folder).merge_and_unload().eval()
    prompter.sha256 = weights_sha256(folder)
    return prompter


def load_answerer(
    name_or_path: str, settings: GenerationSettings, device: str = "cpu", coordinates: str = "pixels"
) -> Chat:
    """A prompter that can only ``answer``, run by the backend that the settings name."""
    if settings.backend == "transformers":
        return load_prompter(name_or_path, device, coordinates)
    from t2s_pipeline.prompters.vllm import VllmPrompter

    return VllmPrompter(_name(name_or_path), folder_of(name_or_path), settings, coordinates)


def _name(name_or_path: str) -> str:
    """What the prompter is called in tables: a folder by its own name."""
    return name_or_path if released(name_or_path) else name_or_path.rstrip("/").rpartition("/")[2]
