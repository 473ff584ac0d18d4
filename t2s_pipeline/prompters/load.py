"""A prompter by its name: the embedded miniature, a published model, or a folder with a checkpoint."""

from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.model_slot import ModelSlot, file_states
from t2s_pipeline.core.names import is_name
from t2s_pipeline.core.outside_files import home_expanded, is_there, outside_object, shown
from t2s_pipeline.core.quick_imports import quick_imports
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.families import published_model
from t2s_pipeline.prompters.library_faults import faults_named
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompters.weights import entry_of, folder_of, weights_sha256
from t2s_pipeline.prompting.asking import AS_EMBEDDED, Asking

ADAPTERS = "adapter_config.json"


def load_prompter(name_or_path: str, device: str = "cpu", asking: Asking = AS_EMBEDDED) -> Prompter:
    """The prompter of that name, run by transformers. It is checked that its output depends on the image.

    Args:
        name_or_path: what ``prompters.weights.folder_of`` takes.
        device: a torch device.
        asking: how it is asked.

    Raises:
        InputError: if there is no such prompter, or it is not on this machine.
        T2SError: if its output does not depend on the image.
    """
    folder = folder_of(name_or_path)
    # transformers imports a model's modules when the model is loaded.
    with quick_imports():
        if is_there(folder / ADAPTERS):
            prompter = _with_adapters(_name(name_or_path), folder, device, asking)
        else:
            prompter = Prompter(_name(name_or_path), folder, device, asking)
    prompter.check_depends_on_image()
    return prompter


def _with_adapters(name: str, folder: Path, device: str, asking: Asking) -> Prompter:
    """A base with the low-rank adapters of a folder, as training writes them, merged into its weights.

    Raises:
        InputError: if the base that the adapters name is not on this machine, or the adapters do not fit it.
    """
    from peft import PeftModel

    base = outside_object(folder / ADAPTERS).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f"{folder / ADAPTERS} does not name the base of the adapters: copy the file again.")
    try:
        place = folder_of(base)
    except InputError as fault:
        raise InputError(
            f"{folder} holds adapters for the base {shown(base)}, which is not on this machine. If you have it: "
            f"t2s models add {base if is_name(base) else 'NAME'} PATH. {fault}"
        ) from fault
    prompter = Prompter(name, place, device, asking)
    with faults_named(folder, f"adapters for the base {base}", f"Compare {ADAPTERS} with that of training."):
        prompter.model = PeftModel.from_pretrained(prompter.model, folder).merge_and_unload().eval()
    prompter.sha256 = weights_sha256(folder)
    return prompter


def load_answerer(
    name_or_path: str, settings: GenerationSettings, device: str = "cpu", asking: Asking = AS_EMBEDDED
) -> Chat:
    """A prompter that can only ``answer``, run by the backend that the settings name.

    Args:
        name_or_path: what ``prompters.weights.folder_of`` takes.
        settings: how it will be asked.
        device: a torch device; vLLM chooses its own.
        asking: how it is asked.

    Raises:
        InputError: if there is no such prompter, it is not on this machine, or the backend is not installed.
        T2SError: if its output does not depend on the image (checked with transformers only).
    """
    if settings.backend == "transformers":
        return load_prompter(name_or_path, device, asking)
    from t2s_pipeline.prompters.vllm import VllmPrompter

    return VllmPrompter(_name(name_or_path), folder_of(name_or_path), settings, asking)


_KEPT: ModelSlot[Chat] = ModelSlot()


def kept_answerer(
    name_or_path: str, settings: GenerationSettings, device: str = "cpu", asking: Asking = AS_EMBEDDED
) -> Chat:
    """The prompter of ``load_answerer``: the one that this process loaded last, if it is the same and its files too.

    Who takes it changes nothing in it.
    """
    # Only vLLM is set up for the settings; transformers gets them with each batch.
    prepared = settings if settings.backend != "transformers" else settings.backend
    key = (name_or_path, prepared, device, asking, file_states(folder_of(name_or_path)))
    return _KEPT.get(key, lambda: load_answerer(name_or_path, settings, device, asking))


def _name(name_or_path: str) -> str:
    """The prompter's name in tables: for a folder, the folder's own name."""
    entry = entry_of(name_or_path)
    if entry is not None:
        return entry.title
    return name_or_path if published_model(name_or_path) else home_expanded(name_or_path).absolute().name
