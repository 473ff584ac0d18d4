"""Resources: where files lie, and how work that loads a model is launched.

What assets and jobs share through configuration belongs here. What they do with it does not.
https://docs.dagster.io/guides/build/external-resources
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import dagster as dg
from pydantic import Field

from t2s_pipeline.core.atomic_files import beside
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.launch import Launch
from t2s_pipeline.core.progress import SentenceProgress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.worker.launcher import plain_launch
from t2s_pipeline.worker.process_ids import tags_of_this_process
from t2s_pipeline.worker.stopping import GRACE_SECONDS

Context = dg.AssetExecutionContext | dg.OpExecutionContext

GPU = "gpu"
"""The pool of everything that loads a model. dagster.yaml says how many of its steps may run at once."""


class WorkerLauncher(dg.ConfigurableResource[None]):
    """Runs the worker (torch, transformers, TRL, SAM2) as a subprocess and talks to it through Dagster Pipes.

    The resource opens the Pipes session itself and not through ``PipesSubprocessClient``, for two reasons. First,
    the worker gets a process group of its own, and all of it is stopped when the run is stopped. The client signals
    one process and stops waiting for it after its time limit. Second, the worker's last sentence becomes the
    message of the failure.
    """

    grace_seconds: float = Field(
        default=GRACE_SECONDS,
        description="Seconds that a worker may take to stop after SIGTERM, when the run is stopped.",
    )

    kind: Literal["default", "process", "ray"] = Field(
        default="default",
        description="Where the worker runs. process: on this machine; ray: on the cluster of ray_address; default: on "
        "a cluster if there is an address.",
    )
    ray_address: str = Field(
        default="",
        description="The Ray cluster: http://HEAD:8265, or HOST:6379 if this machine is one of it. "
        "Empty: T2S_RAY_ADDRESS.",
    )
    devices: str = Field(
        default="", description="How many devices answer at the same time: all, or a number. Empty: T2S_DEVICES."
    )

    def launcher(self, context: Context, settings: Settings) -> Launch:
        """A launch whose progress lines appear in the run page of ``context``."""

        def launch(arguments: Sequence[str]) -> None:
            # A later process can then see whether this run was abandoned (abandoned_runs.py).
            context.instance.add_run_tags(context.run_id, tags_of_this_process())
            # Not a temporary folder: the next session removes the file of a process that was killed.
            messages = beside(settings.home / "tmp" / "pipes" / "messages")
            with dg.open_pipes_session(
                context=context,
                context_injector=dg.PipesEnvContextInjector(),
                message_reader=dg.PipesFileMessageReader(str(messages)),
            ) as session:
                plain_launch(settings, self.grace_seconds, dict(session.get_bootstrap_env_vars()))(arguments)

        return launch

    @property
    def settings(self) -> Settings:
        """The settings that the environment gives, with the devices of this resource.

        Raises:
            InputError: if a cluster is meant and there is no address.
        """
        settings = Settings.from_env()
        address = "" if self.kind == "process" else self.ray_address or settings.ray_address
        if self.kind == "ray" and not address:
            raise InputError("The worker of this run is to run on a Ray cluster: set ray_address, or T2S_RAY_ADDRESS.")
        return replace(settings, devices=self.devices or settings.devices, ray_address=address)

    def runner(self, context: Context, fresh: bool = False) -> Runner:
        """Runs the library's steps in T2S_HOME and launches the worker through this resource.

        Its sentences are logged.
        """
        settings = self.settings
        say = context.log.info
        return Runner(settings, self.launcher(context, settings), say, fresh, SentenceProgress(say))
