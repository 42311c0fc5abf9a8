"""The doctor asks for exactly what the chart gives the operator."""

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


def _asked(rules: tuple[Rule, ...]) -> set[tuple[str, str, str, str]]:
    return {(group, resource, sub, verb) for group, resource, sub, verbs in rules for verb in verbs}


def _rules(kind: str, suffix: str) -> list[Object]:
    (found,) = [o for o in rendering.render() if o["kind"] == kind and o["metadata"]["name"].endswith(suffix)]
    rules: list[Object] = found["rules"]
    return rules


def test_livekits_pods_are_marked_with_what_its_config_map_says() -> None:
    named = [o for o in rendering.render() if o["metadata"]["name"].endswith("-livekit")]
    (config_map,), (deployment,) = ([o for o in named if o["kind"] == kind] for kind in ("ConfigMap", "Deployment"))
    mark = deployment["spec"]["template"]["metadata"]["annotations"][CHECKSUM]
    assert mark == hashlib.sha256(config_map["data"]["config.yaml"].rstrip("\n").encode()).hexdigest()


def test_the_doctor_asks_for_what_the_chart_grants() -> None:
    assert _asked(RULES) == _granted(_rules("ClusterRole", "-operator"))
    assert _asked(LEADER_RULES) == _granted(_rules("Role", "-operator-leader"))
    assert _asked(GATEWAY_RULES) == _granted(_rules("Role", "-gateway"))
