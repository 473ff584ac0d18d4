"""A command of the worker as a job of a Ray cluster, for a launcher that is on no machine of it.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/ describes jobs. The job is the process that
shares out the windows (core/distribution/ray_crew.py). It runs on the cluster's head. The launcher shows its output and
holds the lease that the job and all actors watch.
"""

import os
import shlex
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from uuid import uuid4

from ray.job_submission import JobStatus, JobSubmissionClient
from requests.exceptions import RequestException

from t2s_pipeline.core.distribution.lease import LEASE, held_lease
from t2s_pipeline.core.distribution.remote_environment import passed_on
from t2s_pipeline.core.lake_place import LAKE
from t2s_pipeline.core.settings import DEVICES, RAY_ADDRESS, Settings
from t2s_pipeline.worker.failures import ERROR_PREFIX, WorkerError, failure
from t2s_pipeline.worker.process import LAST_LINES

PYTHON = "T2S_RAY_PYTHON"
"""The environment variable with the worker's interpreter on the machines of the cluster; the default is ``python``."""

LOOK_SECONDS = 1.0
SILENCE_SECONDS = 60.0
"""After so long without an answer of the cluster's head the job is given up."""

NOT_YET = "No available agent"
"""Stands in the answer of a head whose agent has not started."""

OF_RAY = ("Running entrypoint for job", "job_manager.py:")
"""Lines with these words are Ray's own, and not shown."""

FAULTS = (RequestException, RuntimeError, OSError)
"""What the client raises if the head does not answer, or answers with an error."""


class RayJob:
    """One command of the worker on a cluster.

    Args:
        settings: names the cluster's address and T2S_HOME, which all of its machines see at the same path.
        arguments: of the worker's command line.
        variables: additional environment variables.
        say: takes a line of the output.
    """

    def __init__(
        self, settings: Settings, arguments: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._settings, self._arguments, self._variables, self._say = settings, arguments, variables, say
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._shown, self._is_interrupted = 0, False

    def interrupt(self) -> None:
        """Let the thread that waits for this job stop waiting: it gets a WorkerError within a second."""
        self._is_interrupted = True

    def finish(self) -> None:
        """Submit the job and wait for its end. If this call is left early, the job is stopped.

        Raises:
            WorkerError: if it fails, or the cluster does not answer.
        """
        with held_lease(self._settings.home) as lease, self._answering() as client:
            job = self._submit(client, {**self._environment(), LEASE: str(lease)})
            try:
                self._follow(client, job)
            finally:
                # It has ended, or it has lost its lease.
                with suppress(*FAULTS):
                    client.stop_job(job)

    def _submit(self, client: JobSubmissionClient, variables: Mapping[str, str]) -> str:
        """Start the job. A cluster that has just started says for some seconds that it takes none."""
        command = [os.environ.get(PYTHON, "python"), "-u", "-m", "t2s_pipeline.worker", *self._arguments]
        name, began = f"t2s-{uuid4().hex[:16]}", time.monotonic()
        while True:
            try:
                return client.submit_job(
                    entrypoint=shlex.join(command), runtime_env={"env_vars": dict(variables)}, submission_id=name
                )
            except RuntimeError as fault:
                if NOT_YET not in str(fault) or time.monotonic() - began > SILENCE_SECONDS or self._is_interrupted:
                    raise
            time.sleep(LOOK_SECONDS)

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        ours = {"T2S_HOME": str(settings.home), DEVICES: settings.devices, LAKE: settings.lake_address}
        return {**passed_on(), **ours, RAY_ADDRESS: "auto", **self._variables}

    @contextmanager
    def _answering(self) -> Iterator[JobSubmissionClient]:
        """The client; an error of it becomes one sentence."""
        address = self._settings.ray_address
        try:
            yield JobSubmissionClient(address)
        except FAULTS as fault:
            raise WorkerError(f"The Ray cluster at {address} cannot be used: {' '.join(str(fault).split())}") from fault

    def _follow(self, client: JobSubmissionClient, job: str) -> None:
        """Copy the output until the job has ended."""
        heard = time.monotonic()
        while True:
            try:
                status = client.get_job_status(job)
                self._copy(client.get_job_logs(job))
            except FAULTS:
                if time.monotonic() - heard > SILENCE_SECONDS:
                    raise
            else:
                heard = time.monotonic()
                if status.is_terminal():
                    break
            if self._is_interrupted:
                raise WorkerError(f"The worker `{self._arguments[0]}` was stopped.")
            time.sleep(LOOK_SECONDS)
        if status is not JobStatus.SUCCEEDED:
            details = client.get_job_info(job)
            lines = list(self._last) or (details.message or "").splitlines()
            raise failure(self._arguments, details.driver_exit_code or 1, lines)

    def _copy(self, output: str) -> None:
        """Show the lines that are new. The error sentence is not shown: it becomes the error's message."""
        complete = output[: output.rfind("\n") + 1]
        for line in complete[self._shown :].splitlines():
            if any(words in line for words in OF_RAY):
                continue
            if line.strip():
                self._last.append(line.rstrip())
            if not line.startswith(ERROR_PREFIX):
                self._say(line)
        self._shown = len(complete)
