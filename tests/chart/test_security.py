"""Pod Security Standard *restricted* for every pod, and minimal rights for every program."""

import pytest
from voicesession_common.tracing import FLUSH_SECONDS
from voicesession_operator.app import SHUTDOWN_SECONDS
from voicesession_operator.leader_election import CONTAINER

from tests.support.chart.rendering import (
    EVERYTHING,
    FULLNAME,
    NAMESPACE,
    NAMESPACED,
    VARIANTS,
    Object,
    containers,
    environment,
    one,
    pod_templates,
    render,
    workload,
)

RESTRICTED_VOLUMES = {"configMap", "emptyDir", "secret", "projected", "downwardAPI", "persistentVolumeClaim"}

OPERATOR_RULES = {
    ("voicesession.dev", "voicesessions"): {"get", "list", "watch", "delete"},
    ("voicesession.dev", "voicesessions/status"): {"patch"},
    ("voicesession.dev", "voiceagents"): {"get", "list", "watch", "patch"},
    ("voicesession.dev", "voiceagents/status"): {"patch"},
    ("voicesession.dev", "voicepools"): {"get", "list", "watch"},
    ("voicesession.dev", "voicepools/status"): {"patch"},
    ("", "pods"): {"get", "list", "watch", "create", "patch", "delete"},
    ("", "events"): {"create"},
}
"""The operator's API calls: the watches of kopf, the resync, the executor, the event recorder, and the removal of
requests to forget users."""
LEADER_RULES = {("coordination.k8s.io", "leases"): {"get", "create", "update"}, ("", "pods"): {"get", "list", "patch"}}
"""The Lease, a standby's look at the leader's pod, and the label on the leader's own pod."""
GATEWAY_RULES = {
    ("voicesession.dev", "voicesessions"): {"create", "get", "list", "watch", "patch", "delete"},
    ("voicesession.dev", "voiceagents"): {"list", "watch"},
}
"""In one namespace: two watches, and the calls of the session service."""
UNINSTALL_RULES = {
    ("voicesession.dev", "voicesessions"): {"list", "delete"},
    ("voicesession.dev", "voicepools"): {"list", "delete"},
    ("", "pods"): {"list"},
}


def test_operator_container_has_the_name_of_leader_election() -> None:
    assert [c["name"] for c in containers(workload(render(), "operator"))] == [CONTAINER]


def test_operator_shutdown_takes_less_than_the_grace_period() -> None:
    grace = workload(render(), "operator")["spec"]["terminationGracePeriodSeconds"]
    assert grace >= SHUTDOWN_SECONDS + FLUSH_SECONDS


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_is_restricted(variant: str) -> None:
    for name, pod in pod_templates(render(VARIANTS[variant])):
        spec = pod["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert all(set(volume) - {"name"} <= RESTRICTED_VOLUMES for volume in spec.get("volumes", [])), name
        for container in containers(pod):
            _restricted(f"{name}/{container['name']}", container)


def _restricted(name: str, container: Object) -> None:
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False, name
    assert context["readOnlyRootFilesystem"] is True, name
    assert context["capabilities"] == {"drop": ["ALL"]}, name
    assert not any("hostPort" in port for port in container.get("ports", [])), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_kubernetes_clients_have_a_token(variant: str) -> None:
    for name, pod in pod_templates(render(VARIANTS[variant])):
        has_token = pod["spec"]["automountServiceAccountToken"]
        assert has_token == (name in {f"{FULLNAME}-{part}" for part in ("operator", "gateway", "uninstall")}), name
        assert ("serviceAccountName" in pod["spec"]) == has_token, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_sets_resources_and_no_service_links(variant: str) -> None:
    for name, pod in pod_templates(render(VARIANTS[variant])):
        assert pod["spec"]["enableServiceLinks"] is False, name
        for container in containers(pod):
            assert container["imagePullPolicy"] == "IfNotPresent", name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name


def test_all_requests_together_fit_on_two_cores() -> None:
    total = 0
    objects = render(EVERYTHING)
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            (container,) = found["spec"]["template"]["spec"]["containers"]
            total += found["spec"]["replicas"] * int(container["resources"]["requests"]["cpu"].removesuffix("m"))
    assert total <= 500


def test_operator_roles_grant_exactly_the_used_rights() -> None:
    objects = render()
    cluster = one(objects, "ClusterRole", f"{NAMESPACE}-{FULLNAME}-operator")
    assert _rules(cluster) == OPERATOR_RULES
    assert _rules(one(objects, "Role", f"{FULLNAME}-operator-leader")) == LEADER_RULES
    assert _rules(one(objects, "ClusterRole", f"{NAMESPACE}-{FULLNAME}-uninstall")) == UNINSTALL_RULES
    assert {o["metadata"]["name"] for o in objects if o["kind"] in ("Role", "ClusterRole")} == {
        f"{NAMESPACE}-{FULLNAME}-operator",
        f"{FULLNAME}-operator-leader",
        f"{NAMESPACE}-{FULLNAME}-operator-cluster",
        f"{FULLNAME}-gateway",
        f"{NAMESPACE}-{FULLNAME}-uninstall",
    }


@pytest.mark.parametrize("variant", ["defaults", "namespaced"])
def test_operator_may_read_no_namespace_except_the_cluster_identity(variant: str) -> None:
    role = one(render(VARIANTS[variant]), "Role", f"{NAMESPACE}-{FULLNAME}-operator-cluster")
    assert role["metadata"]["namespace"] == "kube-system"
    named = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    assert role["rules"] == [named]


@pytest.mark.parametrize(
    ("values", "namespace"),
    [({}, NAMESPACE), (NAMESPACED, "north"), ({"gateway.namespace": "voice"}, "voice")],
)
def test_gateway_role_covers_served_namespace_only(values: Object, namespace: str) -> None:
    objects = render(values)
    (role,) = [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == f"{FULLNAME}-gateway"]
    assert role["metadata"]["namespace"] == namespace
    assert _rules(role) == GATEWAY_RULES
    (container,) = workload(objects, "gateway")["spec"]["containers"]
    assert environment(container)["NAMESPACE"] == namespace
    bound = [o for o in objects if o["kind"].endswith("Binding") and f"{FULLNAME}-gateway" in str(o["subjects"])]
    assert [(o["kind"], o["metadata"]["namespace"]) for o in bound] == [("RoleBinding", namespace)]


def test_watched_namespaces_replace_cluster_roles() -> None:
    objects = render(NAMESPACED)
    assert not [o for o in objects if o["kind"].startswith("ClusterRole")]
    for name, expected in (("operator", OPERATOR_RULES), ("uninstall", UNINSTALL_RULES)):
        roles = [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == f"{FULLNAME}-{name}"]
        assert {role["metadata"]["namespace"] for role in roles} == {"north", "south"}
        assert all(_rules(role) == expected for role in roles)


@pytest.mark.parametrize("variant", ["defaults", "namespaced"])
def test_binding_connects_role_and_account_of_chart(variant: str) -> None:
    objects = render(VARIANTS[variant])
    roles = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects}
    accounts = {o["metadata"]["name"] for o in objects if o["kind"] == "ServiceAccount"}
    bindings = [o for o in objects if o["kind"].endswith("RoleBinding")]
    assert bindings
    for binding in bindings:
        role = binding["roleRef"]
        assert (role["kind"], binding["metadata"].get("namespace"), role["name"]) in roles
        assert [s["name"] in accounts and s["namespace"] == NAMESPACE for s in binding["subjects"]] == [True]


def _rules(role: Object) -> dict[tuple[str, str], set[str]]:
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
