"""What is counted of deliveries, and under which names."""

import pytest

from greenroom.chatlog.base import FailureKind
from greenroom.chatlog.measures import Depth, Measures
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.values import configuration_arn

ERRORS = "ivschat_log_destination_errors_total"
DENIED = "ivschat_log_destination_access_denied_errors_total"
MISSING = "ivschat_log_destination_resource_not_found_errors_total"


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        (FailureKind.OTHER, {ERRORS}),
        (FailureKind.ACCESS_DENIED, {ERRORS, DENIED}),
        (FailureKind.NOT_FOUND, {ERRORS, MISSING}),
    ],
)
def test_failures(kind: FailureKind, counted: set[str]) -> None:
    """Every failure counts once in all, and once by its kind if the real service has a metric."""
    metrics, arn = Metrics(), configuration_arn()
    Measures(metrics).failed(arn, kind)
    labels = {"logging_configuration": str(arn)}
    found = {
        name: metrics.registry.get_sample_value(name, labels) or 0
        for name in (ERRORS, DENIED, MISSING)
    }
    assert found == {name: int(name in counted) for name in found}


def test_depths_beyond_the_bound_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations that share a label show their sum, and the worst of their ages and ratios."""
    metrics = Metrics()
    monkeypatch.setattr(metrics, "logging_configurations", lambda _: "other")
    depths = [
        Depth(configuration_arn(), 3, 300, 20.0, 0.1),
        Depth(configuration_arn(), 4, 400, 10.0, 0.5),
    ]
    Measures(metrics).show(depths, 7)
    labels = {"logging_configuration": "other"}
    shown = [
        metrics.registry.get_sample_value(f"greenroom_journal_{name}", labels)
        for name in ("records", "bytes", "age_seconds", "bound_ratio")
    ]
    assert shown == [7, 700, 20.0, 0.5]
    assert metrics.registry.get_sample_value("greenroom_journal_memory_bytes") == 7
