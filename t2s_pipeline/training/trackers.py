"""TensorBoard and Weights & Biases: optional copies of the curves, which are always in the table training_log."""

import os
from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import TensorBoardCallback, WandbCallback

from t2s_pipeline.methods.compute import Watch
from t2s_pipeline.training.arguments import require_package


def trackers(watch: Watch, run: str, folder: Path) -> list[TrainerCallback]:
    """The callbacks for ``watch.report_to``.

    Args:
        watch: the settings.
        run: the run's name, which Weights & Biases shows.
        folder: where the callbacks write.

    Raises:
        InputError: if the package is not installed.
    """
    if watch.report_to == "tensorboard":
        require_package("tensorboard", "watch.report_to=tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        return [TensorBoardCallback(SummaryWriter(str(folder)))]  # type: ignore[no-untyped-call]  # transformers has no types here
    if watch.report_to == "wandb":
        require_package("wandb", "watch.report_to=wandb")
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("WANDB_PROJECT", "t2s_pipeline"), ("WANDB_NAME", run), ("WANDB_DIR", str(folder))):
            os.environ.setdefault(name, value)
        return [WandbCallback()]  # type: ignore[no-untyped-call]  # transformers has no types here
    return []
