"""The step that trains a prompter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from t2s_pipeline.lake import schema
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.steps.fingerprints import weights_fingerprint
from t2s_pipeline.steps.step import Context, LakePartition, Step
from t2s_pipeline.training.checkpoints import latest
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

    @property
    def experiment(self) -> Experiment:
        """The settings of the run."""
        return experiment(self.experiment_name, self.overrides)

    def writes(self) -> Sequence[LakePartition]:
        """The run's training log and its list of checkpoints."""
        partition = {"run": self.experiment.run}
        return [LakePartition(table, partition) for table in (schema.TRAINING_LOG, schema.CHECKPOINTS)]

    def reads(self) -> Sequence[LakePartition]:
        """The training samples, and the pseudo-labels if the method learns from them."""
        split = {"dataset": self.experiment.dataset, "split": "train"}
        labels = self.experiment.recipe.labels
        partitions = [LakePartition(schema.SAMPLES, split)]
        if labels:
            partitions.append(LakePartition(schema.PSEUDO_LABELS, {"method": labels, **split}))
        return partitions

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The settings that the weights depend on, and the weights of base and segmenter."""
        return {
            "experiment": self.experiment.fingerprint,
            # The settings hold names only. What they stand for may be defined outside this package.
            "reward": self.experiment.recipe.reward_definition,
            "combination": self.experiment.recipe.combination_definition,
            "base": weights_fingerprint(self.experiment.prompter),
            "segmenter": weights_fingerprint(self.experiment.segmenter),
        }

    def finished(self, context: Context) -> str | None:
        """As for every step; but a run without a complete checkpoint is not finished, whatever the tables say."""
        if latest(context.settings.runs / self.experiment.run) is None:
            return None
        return super().finished(context)

    def work(self, context: Context, fingerprint: str) -> None:
        """Let the worker train. An interrupted run goes on from its last checkpoint."""
        options = [word for override in self.overrides for word in ("--set", override)]
        if context.fresh:
            # Without it, the worker would see that the run is finished under this very fingerprint.
            options.append("--fresh")
        if self.rendezvous:
            options += ["--rendezvous", self.rendezvous]
        context.worker("train", fingerprint, "--experiment", self.experiment_name, *options)

    def after_skipping(self, context: Context, fingerprint: str) -> None:
        """Write changed settings that no weight depends on into the finished checkpoints."""
        if RunFolder.of(self.experiment, context.settings.home, fingerprint).update_settings():
            context.say(
                f"{self.experiment.run} answers with changed settings from now on; its trained weights stay valid."
            )
