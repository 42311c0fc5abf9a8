"""The pod that a recycle brings: made beside the one that serves, and made again within the usual budget."""

from dataclasses import replace
from math import inf

from voicesession_operator.api.session import Status, VoiceSession
from voicesession_operator.domain.attendance import counted_from
from voicesession_operator.domain.children import Children, wanted_ordinal
from voicesession_operator.domain.naming import pod_name
from voicesession_operator.domain.observed import Pod
from voicesession_operator.domain.replacement import backoff
from voicesession_operator.domain.reset import epoch_of
from voicesession_operator.domain.steps import Step


def successions(session: VoiceSession, status: Status, children: Children) -> tuple[Step, ...]:
    """The coming pod ended, or is not in the room within startSeconds; meanwhile the old one serves."""
    if not status.next_pod:
        return ()
    may_replace = status.replacements < session.limits.max_replacements
    if children.coming is not None:
        at = counted_from(status, children.coming.created_at, session.limits.start_seconds)
        return (Step(at, _next(session, status)),) if at is not None and may_replace else ()
    if children.newest is None:
        return ()
    ended = _next(session, status) if may_replace else replace(status, next_pod="")
    return (Step(_not_before(status, children.newest), ended),)


def _next(session: VoiceSession, status: Status) -> Status:
    counted = replace(status, replacements=status.replacements + 1)
    name = pod_name(session.name, session.uid, wanted_ordinal(counted))
    return replace(counted, next_pod=name, agent_epoch=epoch_of(counted))


def _not_before(status: Status, ended: Pod) -> float:
    """The next one at once, then 2, 4, 8 … s after the one that ended was made; it is kept until then to tell when."""
    if ended.deleting or status.replacements < 1:
        return -inf
    return ended.created_at + backoff(status.replacements)
