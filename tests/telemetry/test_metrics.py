"""The table of metrics: what is in it is in the registry, and no label is unbounded."""

import re

from prometheus_client.exposition import generate_latest

from greenroom.protocol.errors import DisconnectReason
from greenroom.telemetry.metrics import MAXIMUM_VALUES, OTHER, BoundedLabel, Metrics


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


def test_a_label_is_bounded() -> None:
    """The first values of a label keep their names, all further ones share one."""
    label = BoundedLabel()
    names = [f"uri{number}" for number in range(MAXIMUM_VALUES)]
    assert [label(name) for name in names] == names
    assert label("one more") == OTHER
    assert label(names[0]) == names[0]
