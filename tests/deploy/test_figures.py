"""The dashboard and the alerts ask for figures that exist, and every figure is shown."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]

from greenroom.protocol.errors import DisconnectReason
from greenroom.protocol.handshake import Refusal
from greenroom.telemetry.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOKS = "docs/howto/runbooks.md"
COMMANDS = ("systemctl ", "aws ", "chronyc ", "greenroom ", "nats ")
DASHBOARD = json.loads((DEPLOY / "grafana" / "greenroom.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]

NOT_SHOWN: dict[str, str] = {}
"""Metrics that the dashboard leaves out, and why."""

WORDS = {"or", "and", "unless", "offset"}
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}
ADDED_BY_SEVERAL_PROCESSES = {"process"}
ADDED = ADDED_BY_PROMETHEUS | ADDED_BY_SEVERAL_PROCESSES
VALUES: dict[str, set[str]] = {
    "greenroom_disconnects_total": set(DisconnectReason),
    "greenroom_handshake_refusals_total": {each.name.lower() for each in Refusal},
}


class Expression(msgspec.Struct, frozen=True):
    """A question to Prometheus, taken apart by eye rather than by grammar."""

    text: str

    @property
    def metrics(self) -> set[str]:
        """The names of the samples."""
        return {name for name, _ in self._selectors()}

    @property
    def matchers(self) -> Iterator[tuple[str, str, str]]:
        """Each sample's name with a label that is matched and the value or pattern."""
        for name, braces in self._selectors():
            for label, value in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', braces):
                yield name, label, value

    @property
    def grouped(self) -> set[str]:
        """The labels that are left after an aggregation."""
        groups = re.findall(r"\bby\s*\(([^)]*)\)", self.text)
        return {label.strip() for group in groups for label in group.split(",")}

    def _selectors(self) -> list[tuple[str, str]]:
        text = re.sub(r"\bby\s*\([^)]*\)|\[[^]]*\]", " ", self.text)
        found = re.findall(r"(?<![\w.$])([a-z_]\w*)\b(?!\s*\()(\{[^}]*\})?", text)
        return [(name, braces) for name, braces in found if name not in WORDS]


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def shown() -> list[tuple[Expression, str]]:
    """Return what the dashboard asks for, each with its legend."""
    return [
        (Expression(target["expr"]), target["legendFormat"])
        for panel in panels()
        for target in panel["targets"]
    ]


def alerted() -> list[tuple[Expression, str]]:
    """Return what the alerts ask for, each with its texts."""
    return [
        (Expression(" ".join(rule["expr"].split())), " ".join(rule["annotations"].values()))
        for rule in ALERTS
    ]


def existing() -> dict[str, set[str]]:
    """Return every sample that can be scraped, with its labels."""
    metrics = Metrics()
    suffixes = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    found = {
        each.name + suffix: set(each.labels)
        for each in metrics.table
        for suffix in suffixes[each.kind]
    }
    for family in metrics.registry.collect():
        if family.name.startswith(("process_", "python_")):
            found |= {sample.name: set(sample.labels) for sample in family.samples}
    return found | {"up": set()}


ASKED = [*shown(), *alerted()]


@pytest.mark.parametrize(("expression", "text"), ASKED, ids=lambda value: str(value)[:60])
def test_what_is_asked_for_exists(expression: Expression, text: str) -> None:
    """Names, labels and their values are those of the metrics; so are the labels in texts."""
    samples = existing()
    assert expression.metrics
    assert expression.metrics <= samples.keys()
    labels = {label for name in expression.metrics for label in samples[name]}
    labels |= ADDED
    assert expression.grouped <= labels
    for name, label, value in expression.matchers:
        assert label in samples[name] | ADDED
        if label == "reason":
            for part in value.split("|"):
                assert any(re.fullmatch(part, known) for known in VALUES[name]), part
    mentioned = set(re.findall(r"\{\{\s*\$labels\.(\w+)|\{\{(\w+)\}\}", text))
    kept = expression.grouped or labels
    assert {label or legend for label, legend in mentioned} <= kept


def test_every_metric_is_shown() -> None:
    """The dashboard shows each metric of the table, or the list above says why not."""
    asked = {name for expression, _ in shown() for name in expression.metrics}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    table = {each.name for each in Metrics().table}
    assert table - families == NOT_SHOWN.keys()
    assert NOT_SHOWN.keys() <= table


def test_the_dashboard_can_be_read() -> None:
    """Panels have names, ids of their own and a place that no other has; times have units."""
    places: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert panel["title"]
        assert max(x for x, _ in squares) < 24
        assert not squares & places
        places |= squares
    for panel in panels():
        asked = {name for target in panel["targets"] for name in Expression(target["expr"]).metrics}
        if any(name.endswith("_seconds_bucket") for name in asked):
            assert panel["fieldConfig"]["defaults"]["unit"] == "s"


def test_alerts_tell_what_to_do() -> None:
    """Each alert has a name of its own, a severity, what it is about, and a few sentences."""
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)
    for rule in ALERTS:
        assert re.fullmatch("Greenroom[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert "$labels." in rule["annotations"]["summary"]
        assert rule["annotations"]["description"].count(".") >= 2


def test_every_alert_has_its_runbook() -> None:
    """Each alert names a section that exists; no section is about an alert that does not."""
    page = ROOT / RUNBOOKS
    sections = re.findall(r"^## (Greenroom\w+)$", page.read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in ALERTS]
    for rule in ALERTS:
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{rule['alert'].lower()}"
        assert "runbook_url" not in rule["annotations"]["description"]


def test_runbooks_name_what_there_is() -> None:
    """Figures in the runbooks exist, and the log lines that they quote are written somewhere."""
    text = (ROOT / RUNBOOKS).read_text()
    figures = set(re.findall(r"`((?:greenroom|ivschat|process)_[a-z_]+)`", text))
    assert figures
    assert figures <= {re.sub("_bucket$", "", name) for name in existing()}
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for line in re.findall(r"`([a-z]+(?: [a-z]+)+)`", text):
        if not line.startswith(COMMANDS):
            assert f'"{line}' in source, line


@pytest.mark.parametrize(
    ("text", "metrics", "grouped"),
    [
        ('sum by (le, a) (rate(x_total{a="b or c"}[5m])) > 1', {"x_total"}, {"le", "a"}),
        ("a_b / on() c_d or e{f=~'g'}", {"a_b", "c_d", "e"}, set()),
        ("rate(x{}[$__rate_interval])", {"x"}, set()),
    ],
)
def test_expressions_are_taken_apart(text: str, metrics: set[str], grouped: set[str]) -> None:
    """What the tests above see of an expression is what is in it."""
    assert (Expression(text).metrics, Expression(text).grouped) == (metrics, grouped)
