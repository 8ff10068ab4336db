"""The table of metrics: what is in it is in the registry, and no label is unbounded."""

import re
from pathlib import Path

from prometheus_client.exposition import generate_latest

from greenroom.model.schedule import OUTCOMES
from greenroom.network.visitors import Excess
from greenroom.protocol.errors import DisconnectReason
from greenroom.telemetry.metrics import MAXIMUM_VALUES, OTHER, UNREAD, BoundedLabel, Metrics

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_table_is_the_registry() -> None:
    """Every metric has one line, with the name and kind that are scraped; so has no other."""
    metrics = Metrics()
    scraped = re.findall(
        r"^# TYPE (\S+) (\S+)$", generate_latest(metrics.registry).decode(), re.MULTILINE
    )
    ours = {(name, kind) for name, kind in scraped if name.startswith(("ivschat_", "greenroom_"))}
    assert {(each.name, each.kind) for each in metrics.table} == ours
    assert len(metrics.table) == len(ours)
    assert all(each.meaning.endswith(".") for each in metrics.table)


def test_what_the_documentation_names_is_there() -> None:
    """Each metric, with its kind and its labels: dashboards and alerts are made by the page."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    documented = {(name, kind): set(re.findall(r"\w+", labels)) for name, kind, labels in rows}
    scraped = Metrics().table
    assert {(each.name, each.kind): set(each.labels) for each in scraped} == documented


def test_the_buckets_of_reviews() -> None:
    """They tell what a viewer notices, up to the longest time that a handler may have."""
    metrics = Metrics()
    metrics.review_seconds.labels("allowed").observe(0)
    scraped = generate_latest(metrics.registry).decode()
    bounds = re.findall(r'^greenroom_review_seconds_bucket{le="(.+?)"', scraped, re.MULTILINE)
    assert bounds == [
        *("0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.15", "0.2", "0.25"),
        *("0.5", "1.0", "5.0", "+Inf"),
    ]


def test_the_process_is_measured_too() -> None:
    """Its files, its Python and its garbage have the names that every process gives them."""
    scraped = generate_latest(Metrics().registry).decode()
    for name in ("process_open_fds", "python_info", "python_gc_objects_collected_total"):
        assert re.search(rf"^{name}[ {{]", scraped, re.MULTILINE), name


def test_values_exist_from_the_start() -> None:
    """Reasons and codes are scraped as zero before they happen: their first 1 is an increase."""
    value = Metrics().registry.get_sample_value
    for reason in DisconnectReason:
        assert value("greenroom_disconnects_total", {"reason": reason}) == 0
    assert value("greenroom_handshake_refusals_total", {"reason": "token_used"}) == 0
    assert value("greenroom_action_errors_total", {"code": "429"}) == 0
    for limit in (*Excess, UNREAD):
        assert value("greenroom_limits_met_total", {"limit": limit}) == 0
    for outcome in OUTCOMES:
        assert value("greenroom_scheduled_announcements_total", {"outcome": outcome}) == 0


def test_each_connection_has_the_time_of_its_handshake() -> None:
    """So their number is that of the times."""
    metrics = Metrics()
    for _ in range(3):
        metrics.handshake_seconds.observe(0.001)
    assert metrics.registry.get_sample_value("greenroom_connects_total") == 3


def test_a_label_is_bounded() -> None:
    """The first values of a label keep their names, all further ones share one."""
    label = BoundedLabel()
    names = [f"uri{number}" for number in range(MAXIMUM_VALUES)]
    assert [label(name) for name in names] == names
    assert label("one more") == OTHER
    assert label(names[0]) == names[0]
