"""What the watch has told so far: raw objects by key, the newest resourceVersion wins, the deleted stay deleted."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from voicesession_common.api import constants

from voicesession_operator.domain.naming import room_name

Object = dict[str, Any]

TOMBSTONES: Final = 10_000
"""Deleted UIDs remembered, against a late event or an old list that would bring one back."""
POD_STATUS: Final = ("phase", "podIP", "reason", "message", "conditions", "containerStatuses")
POD_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "ownerReferences",
)


class Key(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Kind(StrEnum):
    SESSION = "VoiceSession"
    AGENT = "VoiceAgent"
    POD = "Pod"


def key_of(raw: Object) -> Key:
    return Key(raw["metadata"]["namespace"], raw["metadata"]["name"])


def uid_of(raw: Object) -> str:
    return str(raw["metadata"]["uid"])


def version_of(raw: Object) -> int:
    """resourceVersion as the number that Kubernetes promises it to be; 0 where there is none."""
    text = raw["metadata"].get("resourceVersion", "")
    return int(text) if text.isdecimal() else 0


class Cache:
    """All sessions, VoiceAgents and agent pods that the operator is responsible for, with the indexes it asks by."""

    def __init__(self) -> None:
        self._objects: dict[Kind, dict[Key, Object]] = {kind: {} for kind in Kind}
        self._tombstones: OrderedDict[str, None] = OrderedDict()
        self._by_session: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_agent: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_room: dict[str, Key] = {}
        self._departed: defaultdict[Key, dict[str, Object]] = defaultdict(dict)

    def get(self, kind: Kind, key: Key) -> Object | None:
        return self._objects[kind].get(key)

    def all(self, kind: Kind) -> Iterable[Object]:
        return self._objects[kind].values()

    def upsert(self, kind: Kind, raw: Object) -> bool:
        """Take in an object; False if it tells nothing new (older, known already, or deleted since)."""
        key, known = key_of(raw), self._objects[kind].get(key_of(raw))
        if uid_of(raw) in self._tombstones:
            return False
        if known is not None:
            if version_of(raw) <= version_of(known):
                return False
            if uid_of(known) != uid_of(raw):
                self.remove(kind, known)
        self._unindex(kind, key)
        self._objects[kind][key] = SLIM[kind](raw)
        self._index(kind, key)
        return True

    def remove(self, kind: Kind, raw: Object) -> bool:
        """Forget a deleted object for good; False if that was known, or a successor bears its name."""
        key, uid = key_of(raw), uid_of(raw)
        if uid in self._tombstones:
            return False
        self._bury(uid)
        known = self._objects[kind].get(key)
        if known is not None and uid_of(known) == uid:
            self._unindex(kind, key)
            del self._objects[kind][key]
        if kind is Kind.SESSION:
            self._departed[key][uid] = raw
        return True

    def pods_of(self, session_uid: str) -> list[Object]:
        """Pods labelled with that session. The label is only an index: who owns a pod, its ownerReferences say."""
        pods = self._objects[Kind.POD]
        return [pods[key] for key in sorted(self._by_session.get(session_uid, ()))]

    def sessions_of(self, agent: Key) -> list[Key]:
        """Sessions whose agentRef names that VoiceAgent."""
        return sorted(self._by_agent.get(agent, ()))

    def session_of_room(self, room: str) -> Key | None:
        return self._by_room.get(room)

    def departed(self, key: Key) -> list[Object]:
        """Deleted sessions of that name that nobody has cleaned up after yet."""
        return list(self._departed.get(key, {}).values())

    def cleaned_up(self, raw: Object) -> None:
        """Nothing of that deleted session is left."""
        left = self._departed[key_of(raw)]
        left.pop(uid_of(raw), None)
        if not left:
            del self._departed[key_of(raw)]

    def _bury(self, uid: str) -> None:
        self._tombstones[uid] = None
        while len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _index(self, kind: Kind, key: Key) -> None:
        raw = self._objects[kind][key]
        if kind is Kind.POD:
            self._by_session[session_uid_of(raw)].add(key)
        elif kind is Kind.SESSION:
            self._by_agent[agent_of(raw)].add(key)
            self._by_room[room_name(uid_of(raw))] = key

    def _unindex(self, kind: Kind, key: Key) -> None:
        raw = self._objects[kind].get(key)
        if raw is None:
            return
        if kind is Kind.POD:
            _discard(self._by_session, session_uid_of(raw), key)
        elif kind is Kind.SESSION:
            _discard(self._by_agent, agent_of(raw), key)
            self._by_room.pop(room_name(uid_of(raw)), None)


def session_uid_of(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get(constants.SESSION_UID_LABEL, ""))


def session_key_of(pod: Object) -> Key | None:
    """Which session the pod was made for, from its annotation; None if it is not one of ours."""
    text = pod["metadata"].get("annotations", {}).get(constants.SESSION_ANNOTATION, "")
    namespace, _, name = text.partition("/")
    return Key(namespace, name) if name else None


def agent_of(session: Object) -> Key:
    return Key(session["metadata"]["namespace"], session["spec"]["agentRef"]["name"])


def _discard(index: defaultdict[Any, set[Key]], entry: Any, key: Key) -> None:
    index[entry].discard(key)
    if not index[entry]:
        del index[entry]


def _slim_pod(raw: Object) -> Object:
    """Only what decisions look at: a thousand pods fit where a hundred would."""
    meta, status = raw["metadata"], raw.get("status") or {}
    return {
        "metadata": {name: meta[name] for name in POD_METADATA if name in meta},
        "status": {name: status[name] for name in POD_STATUS if name in status},
    }


def _slim_custom(raw: Object) -> Object:
    meta = {name: value for name, value in raw["metadata"].items() if name != "managedFields"}
    return {**raw, "metadata": meta}


SLIM: Final[dict[Kind, Callable[[Object], Object]]] = {
    Kind.SESSION: _slim_custom,
    Kind.AGENT: _slim_custom,
    Kind.POD: _slim_pod,
}
