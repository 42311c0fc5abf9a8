"""The manifest of an agent pod, of a session or of a pool."""

import hashlib
import json
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicepool import VoicePool
from voicesession_common.api.voicesession import VoiceSession

from voicesession_operator.domain.naming import label_value, pod_name
from voicesession_operator.domain.observed import Config

USER_ID: Final = 10001
"""User of the agent image."""
SHUTDOWN_SECONDS: Final = 10
"""Built-in value of `pod.shutdownSeconds`."""
TERMINATION_MARGIN_SECONDS: Final = 10
"""Time to leave the room, end the agent's background work and send the last turns to Letta."""
HANDOVER_SECONDS: Final = 20
"""Time in which an ending pod stays in its conversation, until the agent of its replacement joins."""
OPERATOR_FIELDS: Final = frozenset({"pod", "onLastHumanLeft", "limits", "memory"})
"""Fields of a VoiceAgent's spec that only the operator uses."""
DEFINITION: Final = "VOICESESSION_AGENT"
"""Variable with the definition of the agent; VOICESESSION_AGENT_2, _3 … continue a long one."""
VARIABLE_BYTES: Final = 98_304
"""Linux refuses to start a process with a variable of 128 KiB (MAX_ARG_STRLEN), its name included."""
POD_FIELDS: Final = (
    *("nodeSelector", "tolerations", "affinity", "priorityClassName", "runtimeClassName"),
    *("serviceAccountName", "imagePullSecrets"),
)
"""Fields of a VoiceAgent's `pod` that become fields of the pod's spec."""
EVICTION_HINTS: Final = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}
"""Annotations that keep an autoscaler of nodes from ending a call in order to save a node."""
PROVIDERS: Final = ("stt", "llm", "tts")
POOL_PREFIX_CHARACTERS: Final = 57
"""The API server adds five characters to a generated name; a host name has 63."""
HASH_CHARACTERS: Final = 16


def build_pod(session: VoiceSession, agent: VoiceAgent, ordinal: int, config: Config) -> JsonObject:
    """Return the v1 Pod with this ordinal (0 is the first); it satisfies the restricted Pod Security profile."""
    made = _template(agent, config)
    given = made["metadata"]
    metadata = {
        "name": pod_name(session.name, session.uid, ordinal),
        "namespace": session.namespace,
        "labels": {**given["labels"], constants.SESSION_UID_LABEL: session.uid},
        "annotations": {
            **EVICTION_HINTS,
            **given["annotations"],
            constants.SESSION_ANNOTATION: f"{session.namespace}/{session.name}",
            constants.ORDINAL_ANNOTATION: str(ordinal),
        },
        "ownerReferences": [_owner(constants.SESSION_KIND, session)],
    }
    return {**made, "metadata": metadata}


def build_warm_pod(pool: VoicePool, agent: VoiceAgent, config: Config) -> JsonObject:
    """Return a v1 Pod of the pool: the pod of a session, without the session. The API server completes its name."""
    made = _template(agent, config)
    metadata = {
        "generateName": f"{pool.name[:POOL_PREFIX_CHARACTERS].replace('.', '-').strip('-')}-",
        "namespace": pool.namespace,
        "labels": {**made["metadata"]["labels"], constants.POOL_LABEL: pool.name},
        "annotations": made["metadata"]["annotations"],
        "ownerReferences": [_owner(constants.POOL_KIND, pool)],
    }
    return {**made, "metadata": metadata}


def _template(agent: VoiceAgent, config: Config) -> JsonObject:
    """Return the part of a pod that its VoiceAgent and the settings decide, with the hash of that part as a label."""
    given = agent.spec.get("pod", {})
    labels, annotations = given.get("labels", {}), given.get("annotations", {})
    made = {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod_spec(agent, config)}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    own = {
        constants.MANAGED_BY_LABEL: constants.MANAGED_BY,
        constants.COMPONENT_LABEL: constants.AGENT_POD_COMPONENT,
        constants.AGENT_LABEL: label_value(agent.name),
        constants.TEMPLATE_HASH_LABEL: hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS],
    }
    metadata = {"labels": {**labels, **own}, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}


def _owner(kind: str, owner: VoiceSession | VoicePool) -> JsonObject:
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _pod_spec(agent: VoiceAgent, config: Config) -> JsonObject:
    overrides = agent.spec.get("pod", {})
    return {
        # If the main process dies, the operator replaces the pod and counts a replacement.
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _grace_seconds(agent),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(agent, config)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *overrides.get("volumes", [])],
        **{key: overrides[key] for key in POD_FIELDS if key in overrides},
    }


def _container(agent: VoiceAgent, config: Config) -> JsonObject:
    overrides = agent.spec.get("pod", {})
    return {
        "name": constants.AGENT_CONTAINER,
        "image": overrides.get("image") or config.agent_image,
        "imagePullPolicy": config.pull_policy,
        "env": _environment(agent, config),
        "envFrom": overrides.get("envFrom", []),
        "ports": [
            {"name": "control", "containerPort": constants.CONTROL_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": constants.METRICS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "control"}, "periodSeconds": 2, "timeoutSeconds": 2},
        # Tolerant: importing speech models blocks the event loop for seconds on a small node.
        "livenessProbe": {
            "httpGet": {"path": "/healthz", "port": "control"},
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "resources": overrides.get("resources", {}),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
            *overrides.get("volumeMounts", []),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _shutdown_seconds(agent: VoiceAgent) -> int:
    return int(agent.spec.get("pod", {}).get("shutdownSeconds", SHUTDOWN_SECONDS))


def _grace_seconds(agent: VoiceAgent) -> int:
    return HANDOVER_SECONDS + _shutdown_seconds(agent) + TERMINATION_MARGIN_SECONDS


def _environment(agent: VoiceAgent, config: Config) -> list[JsonObject]:
    """Return the operator's variables, then the VoiceAgent's, which cannot override them."""
    reserved: list[JsonObject] = [
        {"name": "VOICESESSION_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "VOICESESSION_CONTROL_PORT", "value": str(constants.CONTROL_PORT)},
        {"name": "VOICESESSION_METRICS_PORT", "value": str(constants.METRICS_PORT)},
        {"name": "VOICESESSION_SHUTDOWN_SECONDS", "value": str(_shutdown_seconds(agent))},
        {"name": "VOICESESSION_CONTROL_PUBLIC_KEY", "value": config.control_public_key},
        *_definition_variables(_agent_definition(agent)),
        {"name": "LIVEKIT_URL", "value": config.livekit_url},
        *_provider_keys(agent),
    ]
    if config.otlp_endpoint:
        reserved.append({"name": "VOICESESSION_OTLP_ENDPOINT", "value": config.otlp_endpoint})
    taken = {variable["name"] for variable in reserved}
    given = agent.spec.get("pod", {}).get("env", [])
    return reserved + [
        variable
        for variable in given
        if variable["name"] not in taken and not variable["name"].startswith(f"{DEFINITION}_")
    ]


def _agent_definition(agent: VoiceAgent) -> str:
    """Return the definition as JSON. No `$` remains, because the kubelet would expand `$(NAME)` and shorten `$$`."""
    spec = {key: value for key, value in agent.spec.items() if key not in OPERATOR_FIELDS}
    text = json.dumps({**spec, "name": agent.name}, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("$", "\\u0024")


def _definition_variables(definition: str) -> list[JsonObject]:
    """Return the definition in as many variables as Linux needs, cut between characters."""
    rest = definition.encode(errors="replace")
    values: list[str] = []
    while rest or not values:
        part = rest[:VARIABLE_BYTES].decode(errors="ignore")
        values.append(part)
        rest = rest[len(part.encode()) :]
    names = (DEFINITION, *(f"{DEFINITION}_{number}" for number in range(2, len(values) + 1)))
    return [{"name": name, "value": value} for name, value in zip(names, values, strict=True)]


def _provider_keys(agent: VoiceAgent) -> list[JsonObject]:
    """Return a variable for each provider's key, those of the fallback lists included."""
    found = []
    for role in PROVIDERS:
        main = agent.spec.get(role, {})
        variable = f"VOICESESSION_{role.upper()}"
        named = {f"{variable}_API_KEY": main}
        named |= {f"{variable}_FALLBACK_{n}_API_KEY": other for n, other in enumerate(main.get("fallback", ()), 1)}
        for name, provider in named.items():
            ref = provider.get("apiKeySecretRef")
            if ref:
                source = {"secretKeyRef": {"name": ref["name"], "key": ref["key"]}}
                found.append({"name": name, "valueFrom": source})
    return found
