"""Turning the library's step reports into what Dagster records: materializations, metadata, check results.

Only translation belongs here. https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.partitions import partition_key, remember
from assets.resources import Context
from assets.thumbnails import thumbnails
from t2s_pipeline.checks.claims import Check, CheckResult, LakeCheck
from t2s_pipeline.checks.table_checks import checks_of
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.step import StepReport


@dataclass(frozen=True)
class RecordedPartition:
    """What is recorded of one asset's partition."""

    asset: str
    partition: str | None
    skipped: bool
    metadata: dict[str, dg.MetadataValue]
    checks: list[tuple[Check | LakeCheck, CheckResult]]


def check_specs(*tables: str) -> list[dg.AssetCheckSpec]:
    """The checks of these tables. An asset has the name of its table."""
    return [
        dg.AssetCheckSpec(check.name, asset=table, description=check.claim, blocking=check.blocking)
        for table in tables
        for check in checks_of(table)
    ]


def recorded_partitions(settings: Settings, reports: Sequence[StepReport]) -> Iterator[RecordedPartition]:
    """One per asset and partition. Reports on two protocols or several methods are one partition in the UI."""
    groups: dict[tuple[str, str | None], list[StepReport]] = {}
    for report in reports:
        groups.setdefault((report.table, partition_key(report.partition)), []).append(report)
    for (table, key), same in groups.items():
        metadata: dict[str, dg.MetadataValue] = {}
        for report in same:
            # What Dagster's key does not name.
            columns = ("protocol", "method", *(("question_id", "system") if "scene" in report.partition else ()))
            distinguishing = [report.partition[column] for column in columns if column in report.partition]
            prefix = "".join(f"{value} " for value in distinguishing)
            metadata |= {prefix + name: _value(value) for name, value in report.metadata.items()}
        picture = thumbnails(settings, table, same[0].partition)
        if picture is not None:
            metadata["preview"] = dg.MetadataValue.md(picture)
        metadata["dagster/row_count"] = dg.MetadataValue.int(sum(report.rows for report in same))
        yield RecordedPartition(
            asset=table,
            partition=key,
            skipped=all(report.skipped for report in same),
            metadata=metadata,
            checks=[
                (check, check.on(settings.lake, report.partition)) for report in same for check in checks_of(table)
            ],
        )


def results(settings: Settings, reports: Sequence[StepReport]) -> Iterator[dg.MaterializeResult[None]]:
    """What the body of an asset yields: one result per table that its steps reported."""
    for recorded in recorded_partitions(settings, reports):
        yield dg.MaterializeResult(
            asset_key=recorded.asset,
            metadata=recorded.metadata,
            check_results=[
                dg.AssetCheckResult(
                    asset_key=recorded.asset,
                    check_name=check.name,
                    passed=finding.passed,
                    severity=_severity(check),
                    description=finding.sentence,
                    metadata=finding.numbers,
                )
                for check, finding in _worst(recorded.checks)
            ],
        )


def record(context: Context, settings: Settings, reports: Sequence[StepReport]) -> None:
    """Log what ``results`` would yield. This is for an op that does the work of assets.

    Finished work is recorded only if Dagster does not know of it yet, for example with a new T2S_HOME/dagster.

    Raises:
        T2SError: if a blocking check fails.
    """
    for report in reports:
        remember(context.instance, report.partition)
    for recorded in recorded_partitions(settings, reports):
        if not _is_new(context.instance, recorded):
            continue
        context.log_event(_materialization(recorded))
        for check, finding in _worst(recorded.checks):
            # Dagster accepts it, but its annotation of log_event for ops does not name it.
            context.log_event(_evaluation(recorded, check, finding))  # type: ignore[arg-type]
            name = f"{recorded.asset} of {recorded.partition}" if recorded.partition else recorded.asset
            sentence = f"{name} fails the check {check.name}: {finding.sentence}."
            if not finding.passed and check.blocking:
                raise T2SError(sentence)
            if not finding.passed:
                context.log.warning(sentence)


def record_without_run(instance: dg.DagsterInstance, settings: Settings, reports: Sequence[StepReport]) -> None:
    """Record work that was done outside of Dagster: the same events as ``record``, without a run that they belong to.

    https://docs.dagster.io/guides/build/assets/external-assets
    """
    for report in reports:
        remember(instance, report.partition)
    for recorded in recorded_partitions(settings, reports):
        if not _is_new(instance, recorded):
            continue
        instance.report_runless_asset_event(_materialization(recorded))
        for check, finding in _worst(recorded.checks):
            instance.report_runless_asset_event(_evaluation(recorded, check, finding))


def _materialization(recorded: RecordedPartition) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(recorded.asset, partition=recorded.partition, metadata=recorded.metadata)


def _evaluation(recorded: RecordedPartition, check: Check | LakeCheck, finding: CheckResult) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(recorded.asset),
        check_name=check.name,
        passed=finding.passed,
        severity=_severity(check),
        description=finding.sentence,
        metadata={name: _value(value) for name, value in finding.numbers.items()},
        blocking=check.blocking,
    )


def _worst(checks: list[tuple[Check | LakeCheck, CheckResult]]) -> list[tuple[Check | LakeCheck, CheckResult]]:
    """One result per check: the first that failed, else the last."""
    worst: dict[str, tuple[Check | LakeCheck, CheckResult]] = {}
    for check, finding in checks:
        if check.name not in worst or worst[check.name][1].passed:
            worst[check.name] = (check, finding)
    return list(worst.values())


def _severity(check: Check | LakeCheck) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN


def _is_new(instance: dg.DagsterInstance, recorded: RecordedPartition) -> bool:
    """Whether the work was done now, or Dagster does not know of it yet."""
    if not recorded.skipped:
        return True
    partitions = None if recorded.partition is None else [recorded.partition]
    records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(recorded.asset), asset_partitions=partitions)
    return not instance.fetch_materializations(records, limit=1).records


def _value(value: int | float | str) -> dg.MetadataValue:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case _:
            return dg.MetadataValue.text(value)
