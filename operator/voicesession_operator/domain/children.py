"""The session's agent pods, sorted into what the decisions are about."""

from dataclasses import dataclass
from typing import Final

from voicesession_operator.api.session import Status
from voicesession_operator.domain.actions import DeletePod
from voicesession_operator.domain.observed import Pod

POD_DELETE_GRACE_SECONDS: Final = 5
"""Lets the agent leave the room politely (0.7 s) without keeping a broken one for long."""


@dataclass(frozen=True)
class Children:
    """Ordinals count pods from 0 and are never used twice, so the newest ordinal is also the number of replacements."""

    current: Pod | None
    surplus: tuple[Pod, ...]
    """All others: ended ones, those on their way out, and live ones that an older leader made."""
    newest_ordinal: int
    """-1: there never was a pod."""


def sort_pods(status: Status, pods: tuple[Pod, ...]) -> Children:
    """Live pods with the highest ordinal win; the stored status remembers pods that have vanished."""
    live = [pod for pod in pods if pod.live]
    current = max(live, key=lambda pod: pod.ordinal, default=None)
    remembered = status.replacements if status.agent_pod else -1
    return Children(
        current=current,
        surplus=tuple(pod for pod in pods if pod is not current),
        newest_ordinal=max([remembered, *(pod.ordinal for pod in pods)]),
    )


def delete_pods(pods: tuple[Pod, ...]) -> tuple[DeletePod, ...]:
    """Ask for each of these pods to go, unless it is going already."""
    return tuple(DeletePod(pod.name, pod.uid, POD_DELETE_GRACE_SECONDS) for pod in pods if not pod.deleting)
