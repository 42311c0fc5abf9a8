"""VoiceAgents and VoiceSessions as tests write them."""

import copy
from typing import Any

import yaml

from hack.cluster import constants

Json = dict[str, Any]

API_VERSION = "voicesession.dev/v1alpha1"
FAKE_IMAGE = "voicesession/fake-agent:0.1.0"
TRIAL_IMAGE = "voicesession/trial-agent:0.1.0"
SMALL = {"requests": {"cpu": "10m", "memory": "48Mi"}}
CAMEL = {
    "grace": ("onLastHumanLeft", "graceSeconds"),
    "reconnect_grace": ("onLastHumanLeft", "reconnectGraceSeconds"),
    "start": ("limits", "startSeconds"),
    "join": ("limits", "joinSeconds"),
    "max_duration": ("limits", "maxDurationSeconds"),
    "idle": ("limits", "idleSeconds"),
    "max_replacements": ("limits", "maxReplacements"),
}
PATIENT = {"start": 180, "join": 600, "grace": 1, "reconnect_grace": 2}
"""A busy machine must not decide what a test finds; whoever tests a limit sets that one."""


def agent(name: str, namespace: str, spec: Json | None = None) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceAgent",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec or {},
    }


def example_agent() -> Json:
    """The example VoiceAgent as its file has it."""
    document: Json = yaml.safe_load((constants.ROOT / "examples" / f"{constants.EXAMPLE_AGENT}.yaml").read_text())
    return document


def fake_agent(name: str, namespace: str, **env: str) -> Json:
    """An agent that only joins; `env` goes to its container."""
    return agent(name, namespace, {"pod": {"image": FAKE_IMAGE, "resources": SMALL, "env": _variables(env)}})


def trial_agent(name: str, namespace: str, function: str, **env: str) -> Json:
    """One of the agents of tests/e2e/agents that misbehave, with the action Reset."""
    pod = {"image": TRIAL_IMAGE, "env": _variables(env)}
    return agent(name, namespace, {"entrypoint": f"trial_agents:{function}", "onLastHumanLeft": RESET, "pod": pod})


def session(name: str, namespace: str, agent: str = "fake", ttl: int = 600, **seconds: int) -> Json:
    """A VoiceSession; `seconds` are the keys of CAMEL, on top of PATIENT."""
    spec: Json = {"agentRef": {"name": agent}, "ttlSecondsAfterFinished": ttl}
    for key, value in (PATIENT | seconds).items():
        group, field = CAMEL[key]
        spec.setdefault(group, {})[field] = value
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def for_user(document: Json, user: str) -> Json:
    """The VoiceSession with its `spec.user`."""
    return {**document, "spec": {**document["spec"], "user": user}}


RESET: Json = {"action": "Reset"}
RECYCLE: Json = {"action": "Recycle"}
"""For a VoiceAgent's onLastHumanLeft; the graces are its sessions'."""


def copy_of(original: Json, name: str, namespace: str, *without: str, **changes: Any) -> Json:
    """The same VoiceAgent elsewhere, less some fields of its spec, with others replaced."""
    spec = {key: value for key, value in copy.deepcopy(original["spec"]).items() if key not in without}
    return agent(name, namespace, spec | changes)


def _variables(env: dict[str, str]) -> list[Json]:
    return [{"name": key, "value": value} for key, value in env.items()]
