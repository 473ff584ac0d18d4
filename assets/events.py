"""Turning the library's step reports into what Dagster records: materializations, metadata, check results.

Only translation belongs here. https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from assets.partitions import partition_key, remember
from assets.thumbnails import thumbnails
from t2s_pipeline.checks.table_checks import Check, Finding, checks_of
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.steps import StepReport


@dataclass(frozen=True)
class Outcome:
    """What is recorded of one asset's partition."""

    asset: str
    partition: str | None
    skipped: bool
    metadata: dict[str, dg.MetadataValue]
    checks: list[tuple[Check, Finding]]


def check_specs(*tables: str) -> list[dg.AssetCheckSpec]:
    """The checks of these tables; the asset bears its table's name."""
    return [
        dg.AssetCheckSpec(check.name, asset=table, description=check.claim, blocking=check.blocking)
        for table in tables
        for check in checks_of(table)
    ]


def outcomes(settings: Settings, reports: Sequence[StepReport]) -> Iterator[Outcome]:
    """One outcome an asset: a step's reports on two protocols or several methods are one partition in the UI."""
    for table in dict.fromkeys(report.table for report in reports):
        same = [report for report in reports if report.table == table]
        metadata: dict[str, dg.MetadataValue] = {}
        for report in same:
            told_apart = [report.partition[key] for key in ("protocol", "method") if key in report.partition]
            prefix = "".join(f"{value} " for value in told_apart)
            metadata |= {prefix + name: _value(value) for name, value in report.metadata.items()}
        picture = thumbnails(settings, table, same[0].partition)
        if picture is not None:
            metadata["preview"] = dg.MetadataValue.md(picture)
        metadata["dagster/row_count"] = dg.MetadataValue.int(sum(report.rows for report in same))
        yield Outcome(
            asset=table,
            partition=partition_key(same[0].partition),
            skipped=all(report.skipped for report in same),
            metadata=metadata,
            checks=[(check, check.on(settings.lake, each.partition)) for each in same for check in checks_of(table)],
        )


def results(settings: Settings, reports: Sequence[StepReport]) -> Iterator[dg.MaterializeResult]:
    """For the body of an asset."""
    for outcome in outcomes(settings, reports):
        yield dg.MaterializeResult(
            asset_key=outcome.asset,
            metadata=outcome.metadata,
            check_results=[
                dg.AssetCheckResult(
                    asset_key=outcome.asset,
                    check_name=check.name,
                    passed=finding.passed,
                    severity=_severity(check),
                    description=finding.sentence,
                    metadata=finding.numbers,
                )
                for check, finding in _worst(outcome.checks)
            ],
        )


def record(context: dg.OpExecutionContext, settings: Settings, reports: Sequence[StepReport]) -> None:
    """For an op that stands for assets: log what ``results`` would have returned.

    Finished work is recorded only where Dagster does not know of it yet (a new T2S_HOME/dagster, say).

    Raises:
        T2SError: if a blocking check fails.
    """
    for outcome in outcomes(settings, reports):
        key = dg.AssetKey(outcome.asset)
        if outcome.skipped and _is_known(context.instance, key, outcome.partition):
            continue
        for report in reports:
            remember(context.instance, report.partition)
        context.log_event(
            dg.AssetMaterialization(asset_key=key, partition=outcome.partition, metadata=outcome.metadata)
        )
        for check, finding in _worst(outcome.checks):
            context.log_event(
                dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=check.name,
                    passed=finding.passed,
                    severity=_severity(check),
                    description=finding.sentence,
                    metadata={name: _value(value) for name, value in finding.numbers.items()},
                    blocking=check.blocking,
                )
            )
            where = f"{outcome.asset} of {outcome.partition}" if outcome.partition else outcome.asset
            sentence = f"{where} fails the check {check.name}: {finding.sentence}."
            if not finding.passed and check.blocking:
                raise T2SError(sentence)
            if not finding.passed:
                context.log.warning(sentence)


def _worst(checks: list[tuple[Check, Finding]]) -> list[tuple[Check, Finding]]:
    """One finding a check: the first that failed, else the last."""
    worst: dict[str, tuple[Check, Finding]] = {}
    for check, finding in checks:
        if check.name not in worst or worst[check.name][1].passed:
            worst[check.name] = (check, finding)
    return list(worst.values())


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN


def _is_known(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> bool:
    partitions = None if partition is None else [partition]
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions)
    return bool(instance.fetch_materializations(wanted, limit=1).records)


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
