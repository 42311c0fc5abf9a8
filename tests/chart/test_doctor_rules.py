"""Agreement between the doctor's checks and the chart's roles and checksums."""

import hashlib

from voicesession_cli.doctor.livekit_config import CHECKSUM
from voicesession_cli.doctor.results import GATEWAY_RULES, LEADER_RULES, RULES, Rule

from tests.support.chart import rendering
from tests.support.chart.rendering import Object


def _granted(rules: list[Object]) -> set[tuple[str, str, str, str]]:
    split = [
        (rule["apiGroups"][0], *resource.partition("/")[::2], rule["verbs"])
        for rule in rules
        for resource in rule["resources"]
    ]
    return {(group, resource, sub, verb) for group, resource, sub, verbs in split for verb in verbs}


def _checked(rules: tuple[Rule, ...]) -> set[tuple[str, str, str, str]]:
    return {(group, resource, sub, verb) for group, resource, sub, verbs in rules for verb in verbs}


def _rules(kind: str, suffix: str) -> list[Object]:
    (found,) = [o for o in rendering.render() if o["kind"] == kind and o["metadata"]["name"].endswith(suffix)]
    rules: list[Object] = found["rules"]
    return rules


def test_livekit_pod_checksum_matches_config_map() -> None:
    named = [o for o in rendering.render() if o["metadata"]["name"].endswith("-livekit")]
    (config_map,), (deployment,) = ([o for o in named if o["kind"] == kind] for kind in ("ConfigMap", "Deployment"))
    mark = deployment["spec"]["template"]["metadata"]["annotations"][CHECKSUM]
    assert mark == hashlib.sha256(config_map["data"]["config.yaml"].rstrip("\n").encode()).hexdigest()


def test_doctor_rules_equal_chart_roles() -> None:
    assert _checked(RULES) == _granted(_rules("ClusterRole", "-operator"))
    assert _checked(LEADER_RULES) == _granted(_rules("Role", "-operator-leader"))
    assert _checked(GATEWAY_RULES) == _granted(_rules("Role", "-gateway"))
