"""The audit as Dagster's checks: results held against each other, and the states of all days."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.catalogue import CHAIN, check_result
from knowdefeat_pipeline.assets.partition_states import PartitionStates, in_words, partition_states
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.steps.audit import RULES, audit_days
from knowdefeat_pipeline.store.results import last_computed_day, traded_days

STATES = "days_are_complete"
CHECK_KEYS = [
    *(dg.AssetCheckKey(dg.AssetKey(rule.asset), rule.name) for rule in RULES),
    *(dg.AssetCheckKey(dg.AssetKey(asset), STATES) for asset in CHAIN),
]


def build(calendar: Calendar) -> dg.AssetChecksDefinition:
    """All checks of the audit."""

    @dg.multi_asset_check(
        name="audit_checks",
        specs=[
            *(dg.AssetCheckSpec(rule.name, asset=rule.asset, description=rule.description) for rule in RULES),
            *(
                dg.AssetCheckSpec(STATES, asset=asset, description="No day failed, and none is missing between others.")
                for asset in CHAIN
            ),
        ],
    )
    def audit_checks(context: dg.AssetCheckExecutionContext, database: Database) -> Iterator[dg.AssetCheckResult]:
        """Of the run's days, or of the last computed day where it has none; the days' states of all days."""
        connection = database.session.connection
        if context.op_execution_context.has_partitions:
            first, last = covered_days(context)
        else:
            first = last = last_computed_day(connection) or calendar.first_day
        for rule, found in audit_days(connection, first, last):
            yield check_result(found, rule.asset)
        for states in partition_states(context.instance, connection, CHAIN, traded_days(connection), calendar):
            yield _states_result(states)

    return audit_checks


def _states_result(states: PartitionStates) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=states.asset,
        check_name=STATES,
        passed=states.complete,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "days computed": len(states.computed),
            "days failed": len(states.failed),
            "failed": in_words(states.failed),
            "days missing": len(states.missing),
            "missing": in_words(states.missing),
        },
    )
