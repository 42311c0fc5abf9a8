"""The alert rules: promtool accepts and tests them, the runbook documents them, and their metrics exist."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import constants
from tests.support.chart.known_metrics import families, in_query
from tests.support.chart.rendering import FULLNAME, one, program, render

Object = dict[str, Any]

FILES = sorted((constants.CHART / "alerts").glob("*.yaml"))
TRIALS = sorted((Path(__file__).parent / "alerts").glob("*.test.yaml"))
RUNBOOK = constants.ROOT / "docs" / "runbook.md"
ON = {"monitoring.prometheusRule.enabled": True}


def rules_of(file: Path) -> list[Object]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for file in FILES for rule in rules_of(file)}


def rendered(values: Object) -> dict[str, Object]:
    groups = one(render(ON | values), "PrometheusRule", FULLNAME)["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*args: str | Path) -> None:
    done = subprocess.run(
        [program("promtool"), *map(str, args)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_alert_rules_pass_promtool_check(file: Path) -> None:
    promtool("check", "rules", file)


@pytest.mark.parametrize("trial", TRIALS, ids=lambda path: path.stem)
def test_alert_trials_pass_promtool(trial: Path) -> None:
    promtool("test", "rules", trial)


def test_promtool_reports_silent_alert(tmp_path: Path) -> None:
    broken = tmp_path / "memory.yaml"
    broken.write_text((constants.CHART / "alerts" / "memory.yaml").read_text().replace("[15m])) > 0", "[15m])) > 9"))
    trial = tmp_path / "memory.test.yaml"
    original = next(path for path in TRIALS if path.stem == "memory.test").read_text()
    trial.write_text(re.sub(r"rule_files: .*", f"rule_files: [{broken}]", original))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool("test", "rules", trial)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_fires_in_a_trial(alert: str) -> None:
    pattern = re.compile(rf'ALERTS{{alertname="{alert}", alertstate="firing"')
    assert any(pattern.search(trial.read_text()) for trial in TRIALS)


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_severity_summary_and_known_metrics(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["description"].endswith(".")
    assert not rule["annotations"]["summary"].endswith(".")
    assert in_query(rule["expr"]) <= families()


def test_runbook_headings_equal_alerts() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == list(ALERTS)


def test_prometheus_rule_adds_runbook_link_to_alerts() -> None:
    found = rendered({"monitoring.prometheusRule.runbookURL": "https://wiki.example/voice"})
    assert found.keys() == ALERTS.keys()
    for name, rule in found.items():
        link = rule["annotations"].pop("runbook_url")
        assert link == f"https://wiki.example/voice#{name.lower()}"
        assert rule == ALERTS[name]


def test_rule_for_value_overrides_every_alert() -> None:
    assert {rule["for"] for rule in rendered({"monitoring.prometheusRule.for": "5s"}).values()} == {"5s"}
