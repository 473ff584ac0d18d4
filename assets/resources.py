"""Resources: where things live, and how work that loads a model is launched.

What assets and jobs share by configuration belongs here; what they do with it does not.
https://docs.dagster.io/guides/build/external-resources
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from t2s_pipeline.core.progress import SaidProgress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.steps import Steps
from t2s_pipeline.worker.launcher import GRACE_SECONDS, Launch, plain_launch
from t2s_pipeline.worker.process_ids import mine

Context = dg.AssetExecutionContext | dg.OpExecutionContext


class WorkerLauncher(dg.ConfigurableResource):
    """Runs the worker (torch, transformers, TRL, SAM2) as a subprocess and speaks Dagster Pipes with it.

    It opens the Pipes session itself, not through ``PipesSubprocessClient``, for two reasons: the worker gets a
    process group of its own that is ended whole when the run is stopped (the client signals one process and gives
    up on it after its time limit), and the worker's last words become the failure's sentence.
    """

    grace_seconds: float = Field(
        default=GRACE_SECONDS, description="How long a worker may take to stop by itself when the run is stopped."
    )

    def launcher(self, context: Context, settings: Settings) -> Launch:
        """A launch whose progress lines appear in the run page of ``context``."""

        def launch(arguments: Sequence[str]) -> None:
            # So that a later process can tell whether this run was abandoned (jobs/abandoned.py).
            context.instance.add_run_tags(context.run_id, mine())
            with dg.open_pipes_session(
                context=context,
                context_injector=dg.PipesTempFileContextInjector(),
                message_reader=dg.PipesTempFileMessageReader(),
            ) as session:
                plain_launch(settings, self.grace_seconds, dict(session.get_bootstrap_env_vars()))(arguments)

        return launch

    @property
    def settings(self) -> Settings:
        return Settings.from_env()

    def steps(self, context: Context, fresh: bool = False) -> Steps:
        """The library's steps, bound to T2S_HOME and launching through here; what they say is logged."""
        settings = self.settings
        say = context.log.info
        return Steps(settings, self.launcher(context, settings), say, fresh, SaidProgress(say))
