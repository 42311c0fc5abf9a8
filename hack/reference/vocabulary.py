"""Labels, annotations, phases, conditions and reasons, from `api/` and the clients."""

from collections.abc import Iterator
from pathlib import Path

from hack.cluster.constants import ROOT
from hack.reference import outside
from hack.reference.markdown import code, section, table
from hack.reference.source import Constant, constants, rows

API = ROOT / "common" / "voicesession_common" / "api"
NAMES = ("_LABEL", "_ANNOTATION", "_ATTRIBUTE")
WORDS = (
    ("SessionPhase", "Phases", "`status.phase` of a VoiceSession, for humans; programs read the conditions."),
    ("ConditionType", "Conditions", "In `status.conditions` of all kinds."),
    ("PoolReason", "Reasons of pools", "Of the conditions and events of a VoicePool."),
    ("EndReason", "End reasons", "`status.endReason`, and the reason of Finished."),
    ("Action", "Actions", "`onLastHumanLeft.action`."),
    ("Cause", "Causes of a fresh agent", "`status.lastReset.cause`, and the cause in a pod's desired state."),
    ("ResetOutcome", "Outcomes of a reset", "`status.lastReset.outcome`."),
    ("Reason", "Reasons", "Of conditions, which are True unless stated otherwise, and of Kubernetes events."),
)
EVENTS = (
    "A condition that becomes False, or changes its reason while False, also emits a Warning event, except for "
    "RoomCreating, Starting, Resetting, AgentAbsent, PodLost and Finished, which are part of the normal lifecycle."
)
EXTERNAL = "Of conditions and events, from responses of LiveKit, the API server and agent pods to the operator."


def render() -> str:
    """Return the names used in a cluster and the words used in a status."""
    words = constants(API / "reasons.py")
    parts = [_words(words, *entry) for entry in WORDS]
    external = section(3, "Reasons of external errors", EXTERNAL, _outside())
    return "\n\n".join([_names(), section(2, "Phases, conditions and reasons", *parts, external)])


def _names() -> str:
    found = [constant for constant in constants(API / "constants.py") if constant.name.endswith(NAMES)]
    return section(2, "Labels, annotations and attributes", table(("name", "meaning"), rows(found)))


def _words(words: list[Constant], owner: str, title: str, about: str) -> str:
    found = [constant for constant in words if constant.owner == owner]
    note = EVENTS if owner == "Reason" else ""
    return section(3, title, about, note, table(("word", "meaning"), rows(found)))


def _outside() -> str:
    found = sorted(set(_errors(ROOT / "operator" / "voicesession_operator")))
    return table(("reason", "message"), [(code(reason), message) for reason, message in found])


def _errors(package: Path) -> Iterator[tuple[str, str]]:
    for path in (
        *sorted((package / "clients").glob("*.py")),
        package / "controller" / "executor.py",
        ROOT / "common" / "voicesession_common" / "kube_client.py",
        ROOT / "common" / "voicesession_common" / "errors.py",
    ):
        yield from outside.errors(path.read_text())
