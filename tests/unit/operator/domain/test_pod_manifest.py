"""The agent pod's manifest: ownership, restricted Pod Security, environment, and overrides."""

import json
from typing import Any

import pytest
from voicesession_operator.domain.pod_manifest import HANDOVER_SECONDS, TERMINATION_MARGIN_SECONDS, build_pod

from tests.support.builders import CONFIG, UID, agent, session

SESSION = "voicesession.dev/session"


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["containers"][0]
    return found


def environment(manifest: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable for variable in container(manifest)["env"]}


def test_pod_names_session_in_metadata() -> None:
    meta = build_pod(session().build(), agent(), 2, CONFIG)["metadata"]
    assert {name: value for name, value in meta["labels"].items() if name != "voicesession.dev/template-hash"} == {
        "app.kubernetes.io/managed-by": "voicesession-operator",
        "app.kubernetes.io/component": "agent-pod",
        "voicesession.dev/session-uid": UID,
        "voicesession.dev/agent": "agent-66",
    }
    own = {name: value for name, value in meta["annotations"].items() if name.startswith("voicesession.dev/")}
    assert own == {SESSION: "default/hello", "voicesession.dev/ordinal": "2"}
    (owner,) = meta["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (UID, True, False)
    assert (owner["apiVersion"], owner["kind"]) == ("voicesession.dev/v1alpha1", "VoiceSession")


def test_pod_satisfies_restricted_profile() -> None:
    manifest = build_pod(session().build(), agent(), 0, CONFIG)
    spec, inner = manifest["spec"], container(manifest)["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner["capabilities"] == {"drop": ["ALL"]}
    assert inner["readOnlyRootFilesystem"] is True
    assert inner["allowPrivilegeEscalation"] is False
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 40)
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {}}]


def test_environment_has_operator_and_agent_variables() -> None:
    definition = agent(
        instructions="Be kind.",
        llm={"provider": "openai", "apiKeySecretRef": {"name": "keys", "key": "llm"}},
        pod={"env": [{"name": "MINE", "value": "1"}, {"name": "LIVEKIT_URL", "value": "ws://elsewhere"}]},
        limits={"startSeconds": 5},
        onLastHumanLeft={"graceSeconds": 1},
    )
    found = environment(build_pod(session().build(), definition, 0, CONFIG))
    assert found["VOICESESSION_POD_UID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}
    assert found["VOICESESSION_CONTROL_PORT"]["value"] == "8080"
    assert found["VOICESESSION_CONTROL_PUBLIC_KEY"]["value"] == CONFIG.control_public_key
    assert found["VOICESESSION_LLM_API_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "keys", "key": "llm"}}
    assert found["LIVEKIT_URL"]["value"] == CONFIG.livekit_url
    assert found["MINE"]["value"] == "1"
    assert "VOICESESSION_STT_API_KEY" not in found
    passed = json.loads(found["VOICESESSION_AGENT"]["value"])
    assert passed.keys() == {"displayName", "instructions", "llm", "name"}


def test_home_of_image_or_of_voice_agent_is_kept() -> None:
    assert "HOME" not in environment(build_pod(session().build(), agent(), 0, CONFIG))
    definition = agent(pod={"env": [{"name": "HOME", "value": "/models"}]})
    assert environment(build_pod(session().build(), definition, 0, CONFIG))["HOME"]["value"] == "/models"


def test_environment_has_keys_of_fallback_providers() -> None:
    second = {"provider": "groq", "apiKeySecretRef": {"name": "keys", "key": "groq"}}
    definition = agent(llm={"provider": "openai", "fallback": [{"provider": "openai"}, second]})
    found = environment(build_pod(session().build(), definition, 0, CONFIG))
    assert found["VOICESESSION_LLM_FALLBACK_2_API_KEY"]["valueFrom"] == {
        "secretKeyRef": {"name": "keys", "key": "groq"}
    }
    assert "VOICESESSION_LLM_FALLBACK_1_API_KEY" not in found


def test_pod_overrides_come_from_voice_agent() -> None:
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    resources = {"requests": {"memory": "600Mi"}}
    definition = agent(
        pod={
            "image": "mine:1",
            "resources": resources,
            "nodeSelector": {"a": "b"},
            "tolerations": tolerations,
            "priorityClassName": "high",
            "runtimeClassName": "gvisor",
        }
    )
    manifest = build_pod(session().build(), definition, 0, CONFIG)
    assert (container(manifest)["image"], container(manifest)["resources"]) == ("mine:1", resources)
    assert manifest["spec"]["nodeSelector"] == {"a": "b"}
    assert manifest["spec"]["tolerations"] == tolerations
    assert (manifest["spec"]["priorityClassName"], manifest["spec"]["runtimeClassName"]) == ("high", "gvisor")


def test_image_defaults_come_from_config() -> None:
    made = container(build_pod(session().build(), agent(), 0, CONFIG))
    assert (made["image"], made["imagePullPolicy"]) == (CONFIG.agent_image, "IfNotPresent")


@pytest.mark.parametrize(("given", "seconds"), [({}, 10), ({"shutdownSeconds": 0}, 0), ({"shutdownSeconds": 300}, 300)])
def test_grace_period_leaves_time_after_shutdown_callbacks(given: dict[str, int], seconds: int) -> None:
    made = build_pod(session().build(), agent(pod=given), 0, CONFIG)
    assert environment(made)["VOICESESSION_SHUTDOWN_SECONDS"]["value"] == str(seconds)
    assert made["spec"]["terminationGracePeriodSeconds"] == HANDOVER_SECONDS + seconds + TERMINATION_MARGIN_SECONDS


EXTRAS = {
    "serviceAccountName": "caller",
    "imagePullSecrets": [{"name": "registry"}],
    "affinity": {"nodeAffinity": {}},
    "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
    "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
    "envFrom": [{"secretRef": {"name": "keys"}}],
}


def test_volumes_and_sources_of_voice_agent_stand_beside_own_parts() -> None:
    made = build_pod(session().build(), agent(pod=EXTRAS), 0, CONFIG)
    spec = made["spec"]
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("caller", False)
    assert (spec["imagePullSecrets"], spec["affinity"]) == ([{"name": "registry"}], {"nodeAffinity": {}})
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp", "models"]
    assert [mount["mountPath"] for mount in container(made)["volumeMounts"]] == ["/tmp", "/models"]  # noqa: S108
    assert container(made)["envFrom"] == EXTRAS["envFrom"]


def test_call_is_protected_from_node_autoscalers_unless_annotations_differ() -> None:
    protected = build_pod(session().build(), agent(), 0, CONFIG)["metadata"]["annotations"]
    assert protected["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert protected["karpenter.sh/do-not-disrupt"] == "true"
    changed = agent(pod={"annotations": {"karpenter.sh/do-not-disrupt": "false", "team": "a"}})
    found = build_pod(session().build(), changed, 0, CONFIG)["metadata"]["annotations"]
    assert (found["karpenter.sh/do-not-disrupt"], found["team"]) == ("false", "a")


def test_labels_and_annotations_of_voice_agent_replace_none_of_the_operator() -> None:
    plain = build_pod(session().build(), agent(), 0, CONFIG)["metadata"]
    own = {"labels": dict.fromkeys(plain["labels"], "x") | {"team": "a"}, "annotations": {SESSION: "other/session"}}
    found = build_pod(session().build(), agent(pod=own), 0, CONFIG)["metadata"]
    hashes = [meta["labels"].pop("voicesession.dev/template-hash") for meta in (plain, found)]
    assert (found["labels"], len(set(hashes))) == (plain["labels"] | {"team": "a"}, 2)
    assert found["annotations"][SESSION] == plain["annotations"][SESSION]
