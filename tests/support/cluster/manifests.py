"""Builders of VoiceAgent and VoiceSession manifests."""

import copy
from typing import Any

import yaml

from hack.cluster import constants

Json = dict[str, Any]

API_VERSION = "voicesession.dev/v1alpha1"
FAKE_IMAGE = "voicesession/fake-agent:0.1.0"
FAULTY_AGENT_IMAGE = "voicesession/trial-agent:0.1.0"
SMALL = {"requests": {"cpu": "10m", "memory": "48Mi"}}
SECONDS_FIELDS = {
    "grace": ("onLastHumanLeft", "graceSeconds"),
    "reconnect_grace": ("onLastHumanLeft", "reconnectGraceSeconds"),
    "start": ("limits", "startSeconds"),
    "join": ("limits", "joinSeconds"),
    "max_duration": ("limits", "maxDurationSeconds"),
    "idle": ("limits", "idleSeconds"),
    "max_replacements": ("limits", "maxReplacements"),
}
LONG_LIMITS = {"start": 180, "join": 600, "grace": 1, "reconnect_grace": 2}
"""Limits too long for a busy machine to reach; a test of one limit sets that limit."""


def agent(name: str, namespace: str, spec: Json | None = None) -> Json:
    """Return a VoiceAgent."""
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceAgent",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {},
    }


def example_agent() -> Json:
    """Return the example VoiceAgent of examples/."""
    document: Json = yaml.safe_load((constants.ROOT / "examples" / f"{constants.EXAMPLE_AGENT}.yaml").read_text())
    return document


def fake_agent(name: str, namespace: str, **env: str) -> Json:
    """Return a VoiceAgent that joins the room and does nothing else; `env` is set on its container."""
    return agent(name, namespace, {"pod": {"image": FAKE_IMAGE, "resources": SMALL, "env": _variables(env)}})


def pool(name: str, namespace: str, agent: str = "fake", **spec: Any) -> Json:
    """Return a VoicePool."""
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": API_VERSION,
        "kind": "VoicePool",
        "metadata": metadata,
        "spec": {"agentRef": {"name": agent}, **spec},
    }


def faulty_agent(name: str, namespace: str, function: str, **env: str) -> Json:
    """Return a VoiceAgent with a faulty agent of hack/images/trial-agent and the action Reset."""
    pod = {"image": FAULTY_AGENT_IMAGE, "env": _variables(env)}
    return agent(name, namespace, {"entrypoint": f"trial_agents:{function}", "onLastHumanLeft": RESET, "pod": pod})


def session(name: str, namespace: str, agent: str = "fake", ttl: int = 600, **seconds: int) -> Json:
    """Return a VoiceSession; `seconds` are keys of SECONDS_FIELDS and override LONG_LIMITS."""
    spec: Json = {"agentRef": {"name": agent}, "ttlSecondsAfterFinished": ttl}
    for key, value in (LONG_LIMITS | seconds).items():
        group, field = SECONDS_FIELDS[key]
        spec.setdefault(group, {})[field] = value
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def for_user(document: Json, user: str) -> Json:
    """Return the VoiceSession with this `spec.user`."""
    return {**document, "spec": {**document["spec"], "user": user}}


RESET: Json = {"action": "Reset"}
RECYCLE: Json = {"action": "Recycle"}
"""Values of a VoiceAgent's onLastHumanLeft; the sessions set the graces."""


def copy_of(original: Json, name: str, namespace: str, *without: str, **changes: Any) -> Json:
    """Return a copy of a VoiceAgent with another name and namespace, and with changes to its spec."""
    spec = {key: value for key, value in copy.deepcopy(original["spec"]).items() if key not in without}
    return agent(name, namespace, spec | changes)


def _variables(env: dict[str, str]) -> list[Json]:
    return [{"name": key, "value": value} for key, value in env.items()]
