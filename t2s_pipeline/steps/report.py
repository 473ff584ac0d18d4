"""The step that builds the results page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from t2s_pipeline.steps.step import Context, LakePartition, Step, StepReport


@dataclass(frozen=True)
class Report(Step):
    """Build the results page, with ``dataset`` first.

    The page is always built again: it takes seconds, and people delete pages.
    """

    dataset: str | None = None

    name: ClassVar[str] = "report"
    code: ClassVar[str] = "reporting.page"

    def writes(self) -> Sequence[LakePartition]:
        """Nothing in the lake: the page is a file."""
        return ()

    def finished(self, context: Context) -> str | None:
        """Never."""
        return None

    def work(self, context: Context, fingerprint: str) -> None:
        """Build the page."""
        # Imported here, because plotting takes a second to import and Dagster must load the project quickly.
        from t2s_pipeline.reporting.page import build_report

        build_report(context.settings, self.dataset)

    def reports(self, context: Context, skipped: bool) -> list[StepReport]:
        """One report, which names the page's file."""
        return [StepReport(self.name, {}, 1, skipped, {"page": str(context.settings.page)})]
