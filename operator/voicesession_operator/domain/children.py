"""The session's agent pods, sorted into what the decisions are about."""

from dataclasses import dataclass
from typing import Final

from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.actions import DeletePod
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import Observed, Pod

POD_DELETE_GRACE_SECONDS: Final = 5
"""Lets the agent leave the room politely (0.7 s) without keeping a broken one for long."""


@dataclass(frozen=True)
class Children:
    """Ordinals count pods from 0: one more for each replacement and for each recycle."""

    current: Pod | None
    """The pod that serves, or will."""
    coming: Pod | None
    """During a recycle: the newer pod that takes over once its agent is in the room."""
    surplus: tuple[Pod, ...]
    """All others: ended ones, those on their way out, those given up, and live ones that an older leader made.

    A recycle's pod that ended stays until the next one may be made: it tells when that is.
    """
    newest: Pod | None
    """The pod with the highest ordinal that is not given up, live or not."""
    newest_ordinal: int
    """Of all pods that were ever seen; -1: there never was one."""


def wanted_ordinal(status: Status) -> int:
    """The ordinal that the newest pod has or will get; live pods below it are given up, but for the one that serves."""
    return status.replacements + status.recycles


def sort_pods(session: VoiceSession, observed: Observed) -> Children:
    """The highest ordinal wins, at once or, in a recycle, when its agent is in the room."""
    status = session.status
    wanted = wanted_ordinal(status)
    valid = [pod for pod in observed.pods if pod.ordinal >= wanted]
    newest_live = max((pod for pod in valid if pod.live), key=_ordinal, default=None)
    serving = next((pod for pod in observed.pods if pod.live and pod.name == status.agent_pod), None)
    current, coming = _roles(status, observed, newest_live, serving)
    newest = max(valid, key=_ordinal, default=None)
    kept = [current, coming, newest if status.next_pod else None]
    # The stored status remembers pods that have vanished.
    known = wanted if status.agent_pod == pod_name(session.name, session.uid, wanted) else wanted - 1
    return Children(
        current=current,
        coming=coming,
        surplus=tuple(pod for pod in observed.pods if pod not in kept),
        newest=newest,
        newest_ordinal=max([known, *(pod.ordinal for pod in observed.pods)]),
    )


def _roles(
    status: Status, observed: Observed, newest: Pod | None, serving: Pod | None
) -> tuple[Pod | None, Pod | None]:
    if newest is None or serving is None or serving is newest:
        return newest or serving, None
    if status.next_pod and not observed.is_in(newest):
        return serving, newest
    return newest, None


def delete_pods(pods: tuple[Pod, ...]) -> tuple[DeletePod, ...]:
    """Ask for each of these pods to go, unless it is going already."""
    return tuple(DeletePod(pod.name, pod.uid, POD_DELETE_GRACE_SECONDS) for pod in pods if not pod.deleting)


def _ordinal(pod: Pod) -> int:
    return pod.ordinal
