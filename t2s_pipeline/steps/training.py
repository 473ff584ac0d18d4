"""The step that trains a prompter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from t2s_pipeline.lake import schema
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.steps.fingerprints import code_fingerprint, known_sha256, weights_fingerprint
from t2s_pipeline.steps.step import Context, LakePartition, Step
from t2s_pipeline.training.checkpoints import Checkpoint, latest
from t2s_pipeline.training.continuation import (
    Origin,
    changes,
    other_settings,
    require_continuable,
    settings_to_train,
)
from t2s_pipeline.training.run_folder import RunFolder


@dataclass(frozen=True)
class Train(Step):
    """Train the prompter of an experiment with GRPO. The step leaves the run's log and its checkpoints.

    Attributes:
        experiment_name: the named experiment, perhaps with a seed: ``think2seg-mini-seed1``.
        overrides: changed settings, for example ``grpo.steps=20``.
        rendezvous: HOST:PORT where the nodes meet, if the run has several nodes; this one is the first.
    """

    experiment_name: str
    overrides: tuple[str, ...] = ()
    rendezvous: str = ""

    name: ClassVar[str] = "train"
    code: ClassVar[str] = "training.run"

    def experiment(self, context: Context) -> Experiment:
        """The settings of the run: those that are stored with it, with the changes that are named now."""
        return settings_to_train(context.settings, self.experiment_name, self.overrides, context.fresh)

    def writes(self) -> Sequence[LakePartition]:
        """The run's training log and its list of checkpoints."""
        partition = {"run": experiment(self.experiment_name, self.overrides).run}
        return [LakePartition(table, partition) for table in (schema.TRAINING_LOG, schema.CHECKPOINTS)]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The settings that the weights depend on, the weights of base and segmenter, and the training data.

        The data is needed unless the run is finished.

        Raises:
            NotMaterializedError: if the training samples or their pseudo-labels are not in the lake.
        """
        settings = self.experiment(context)
        learned = {key: value for key, value in settings.learned.items() if key not in ("prompter", "segmenter")}
        lake, checkpoint = context.settings.lake, self._latest(context)
        finished = checkpoint is not None and checkpoint.final
        sources = _sources(settings)
        return {
            "experiment": learned,
            # The settings hold names only. What they stand for may be defined outside this package.
            "reward": settings.recipe.reward_definition,
            "combination": settings.recipe.combination_definition,
            "base": weights_fingerprint(settings.prompter),
            "segmenter": weights_fingerprint(settings.segmenter),
            "data": [one.fingerprint(lake) if finished else one.required_fingerprint(lake) for one in sources],
        }

    def is_valid(self, context: Context, fingerprint: str) -> bool:
        """A finished run stays, whatever has changed since; only ``--fresh`` begins anew.

        Raises:
            InputError: if the run is finished with other settings than those that are asked for now.
        """
        checkpoint = self._latest(context)
        if checkpoint is None or not checkpoint.final:
            return False
        require_continuable(checkpoint, self._origin(context))
        return super().finished(context) is not None

    def work(self, context: Context, fingerprint: str) -> None:
        """Let the worker train. An interrupted run goes on from its last checkpoint."""
        checkpoint = self._latest(context)
        if checkpoint is not None and not context.fresh:
            # The worker checks it too, after it has loaded the models, which takes minutes at full size.
            require_continuable(checkpoint, self._origin(context))
        options = [word for override in self.overrides for word in ("--set", override)]
        if context.fresh:
            options.append("--fresh")
        if self.rendezvous:
            options += ["--rendezvous", self.rendezvous]
        code = code_fingerprint(self.code)
        context.worker("train", fingerprint, "--experiment", self.experiment_name, *options, "--code", code)

    def after_skipping(self, context: Context, fingerprint: str) -> None:
        """Say what has changed since the run, and write changed settings that no weight depends on into it."""
        checkpoint, origin = self._latest(context), self._origin(context)
        sentences = [] if checkpoint is None else changes(checkpoint, origin)
        if sentences:
            context.say(f"{origin.experiment.run} is finished and stays as it is. {' '.join(sentences)}")
        folder = RunFolder.of(origin.experiment, context.settings.home, super().finished(context) or fingerprint)
        if folder.update_settings():
            context.say(f"{origin.experiment.run} answers with changed settings from now on; its weights stay valid.")

    def other_settings(self, context: Context) -> list[str]:
        """How a run that exists differs from what is asked for; empty if it does not, or there is no run."""
        checkpoint = self._latest(context)
        return [] if checkpoint is None else other_settings(checkpoint, self._origin(context))

    def _latest(self, context: Context) -> Checkpoint | None:
        return latest(context.settings.runs / experiment(self.experiment_name, self.overrides).run)

    def _origin(self, context: Context) -> Origin:
        """What the training would be made from now."""
        settings = self.experiment(context)
        folder = RunFolder.of(settings, context.settings.home, "", code_fingerprint(self.code))
        return folder.made_from(known_sha256(settings.prompter), known_sha256(settings.segmenter)).origin


def _sources(settings: Experiment) -> list[LakePartition]:
    """The training samples, and the pseudo-labels if the method learns from them."""
    split = {"dataset": settings.dataset, "split": "train"}
    sources = [LakePartition(schema.SAMPLES, {"dataset": name, "split": "train"}) for name in settings.train_datasets]
    if settings.recipe.labels:
        sources.append(LakePartition(schema.PSEUDO_LABELS, {"method": settings.recipe.labels, **split}))
    return sources
