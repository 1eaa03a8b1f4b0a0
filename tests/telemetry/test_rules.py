"""What operators load, dashboard and alerts, names metrics and labels that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from vendrail.kernel.telemetry import METRICS

DEPLOY = Path(__file__).parents[2] / "deploy"
STANDARD = {"process_cpu_seconds_total": ()}
OF_SCRAPES = {"job", "instance", "le"}
_NAME = re.compile(r"\b((?:vendrail|process)_\w+)(\{[^}]*\})?")
_BY = re.compile(r"\bby \(([^)]*)\) \(((?:[^()]|\([^()]*\))*)\)")


def known():
    """Give the labels of each series that a scrape shows."""
    series = dict(STANDARD)
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        series |= {metric.name + ending: metric.labels for ending in endings}
    return series


def alerts():
    """Give the rules, by their names."""
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels():
    """Give the panels of the dashboard that show something, by their titles."""
    board = json.loads((DEPLOY / "dashboards/vendrail.json").read_text("utf-8"))
    return {panel["title"]: panel for panel in board["panels"] if panel["type"] != "row"}


def expressions():
    """Give every expression with where it stands."""
    for name, rule in alerts().items():
        yield pytest.param(rule["expr"], id=name)
    for title, panel in panels().items():
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"{title} {target['refId']}")


@pytest.mark.parametrize("expression", list(expressions()))
def test_expression_names_what_is_there(expression):
    """Each series, each label it is chosen by and each it is summed by is in the table."""
    series = known()
    found = _NAME.findall(expression)

    assert found
    for name, chosen in found:
        assert name in series, name
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
        assert labels <= {*series[name], *OF_SCRAPES}, (name, labels)
    for by, inner in _BY.findall(expression):
        (name, _), *_ = _NAME.findall(inner)
        assert {label.strip() for label in by.split(",")} <= {*series[name], *OF_SCRAPES}
    for left, right in ("()", "{}", "[]"):
        assert expression.count(left) == expression.count(right)


def test_alerts_say_what_to_do():
    """Each alert has a summary, an action, a duration and a severity."""
    for rule in alerts().values():
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action"} == set(rule["annotations"])


def test_every_metric_is_on_the_dashboard():
    """Nothing is measured that nobody sees."""
    text = " ".join(t["expr"] for panel in panels().values() for t in panel["targets"])

    assert [] == [metric.name for metric in METRICS if metric.name not in text]


def test_panels_have_numbers_of_their_own():
    """No two panels share an id or a place."""
    found = list(panels().values())
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in found}

    assert len(found) == len({panel["id"] for panel in found}) == len(places)
