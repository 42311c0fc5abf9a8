"""Cache of watched objects by key: the highest resourceVersion wins, and deleted objects stay deleted."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple

from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.bounds import LruDict

from voicesession_operator.domain.naming import room_name

TOMBSTONES: Final = 10_000
"""UIDs of deleted objects kept, so that a late event or an old list cannot restore one."""
POD_STATUS: Final = ("phase", "podIP", "reason", "message")
POD_CONDITIONS: Final = ("PodScheduled", "Ready")
CONTAINER_STATUSES: Final = ("containerStatuses", "initContainerStatuses")
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
ANNOTATIONS: Final = frozenset(
    {
        constants.SESSION_ANNOTATION,
        constants.ORDINAL_ANNOTATION,
        constants.CLAIMED_AT_ANNOTATION,
        constants.RESET_REQUESTED_AT_ANNOTATION,
        constants.HUMAN_EXPECTED_AT_ANNOTATION,
        constants.TRACEPARENT_ANNOTATION,
    }
)
"""Annotations that the operator reads, beside the requests to forget users."""
FORGET_REQUESTS: Final = 16
"""Requests to forget users that are read from one VoiceAgent at a time."""


class Key(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ResourceKind(StrEnum):
    """The kinds of objects that the operator watches."""

    SESSION = "VoiceSession"
    AGENT = "VoiceAgent"
    POOL = "VoicePool"
    POD = "Pod"


def namespace_of(key: Key) -> str:
    return key.namespace


def key_of(raw: JsonObject) -> Key:
    return Key(raw["metadata"]["namespace"], raw["metadata"]["name"])


def uid_of(raw: JsonObject) -> str:
    return str(raw["metadata"]["uid"])


def version_of(raw: JsonObject) -> int:
    """Return the resourceVersion, which Kubernetes guarantees to be a number; 0 if it is missing."""
    text = raw["metadata"].get("resourceVersion", "")
    return int(text) if text.isdecimal() else 0


def is_finished(session: JsonObject) -> bool:
    return bool((session.get("status") or {}).get("finishedAt"))


class Cache:
    """All watched sessions, VoiceAgents, VoicePools and agent pods, with indexes."""

    def __init__(self, tombstones: int = TOMBSTONES) -> None:
        self._objects: dict[ResourceKind, dict[Key, JsonObject]] = {kind: {} for kind in ResourceKind}
        self._tombstones: LruDict[str, None] = LruDict(tombstones)
        self._by_owner: defaultdict[Key, set[Key]] = defaultdict(set)
        """Pods by namespace and UID of their owner: a namespace cannot fill the index of another one."""
        self._by_agent: defaultdict[Key, set[Key]] = defaultdict(set)
        self._pools_by_agent: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_pool: defaultdict[Key, set[Key]] = defaultdict(set)
        """Pods by namespace and value of POOL_LABEL, also after a session has claimed them."""
        self._without_room: defaultdict[str, set[Key]] = defaultdict(set)
        """Pods that wait for room on a node, by namespace."""
        self._by_room: dict[str, Key] = {}
        self._deleted_sessions: defaultdict[Key, dict[str, JsonObject]] = defaultdict(dict)

    def get(self, kind: ResourceKind, key: Key) -> JsonObject | None:
        return self._objects[kind].get(key)

    def all(self, kind: ResourceKind) -> Iterable[JsonObject]:
        return self._objects[kind].values()

    def upsert(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Store an object. Return False if it is older than the cached one, equal to it, or deleted.

        Raise KeyError for a session or a pool without agentRef, before anything changes.
        """
        key, known = key_of(raw), self._objects[kind].get(key_of(raw))
        if uid_of(raw) in self._tombstones or (known is not None and version_of(raw) <= version_of(known)):
            return False
        if kind in (ResourceKind.SESSION, ResourceKind.POOL):
            agent_of(raw)
        if known is not None and uid_of(known) != uid_of(raw):
            self.remove(kind, known)
        self._unindex(kind, key)
        self._objects[kind][key] = SLIM[kind](raw)
        self._index(kind, key)
        return True

    def remove(self, kind: ResourceKind, raw: JsonObject) -> bool:
        """Remove a deleted object. Return False if it was removed before."""
        key, uid = key_of(raw), uid_of(raw)
        if uid in self._tombstones:
            return False
        self._tombstones[uid] = None
        known = self._objects[kind].get(key)
        if known is not None and uid_of(known) == uid:
            self._unindex(kind, key)
            del self._objects[kind][key]
        if kind is ResourceKind.SESSION:
            self._deleted_sessions[key][uid] = raw
        return True

    def pods_of(self, namespace: str, owner_uid: str) -> list[JsonObject]:
        """Return the pods of this session or pool, and pods without a controller that are labeled with the session."""
        pods = self._objects[ResourceKind.POD]
        return [pods[key] for key in sorted(self._by_owner.get(Key(namespace, owner_uid), ()))]

    def pods_from_pool(self, namespace: str, label: str) -> list[JsonObject]:
        """Return the pods with this value of POOL_LABEL, claimed or not."""
        pods = self._objects[ResourceKind.POD]
        return [pods[key] for key in sorted(self._by_pool.get(Key(namespace, label), ()))]

    def sessions_without_room(self, namespace: str) -> int:
        """Return the number of sessions' pods that wait for room on a node."""
        return len(self._without_room.get(namespace, ()))

    def pools_in(self, namespace: str) -> list[Key]:
        """Return the pools of a namespace."""
        return [key for key in self._objects[ResourceKind.POOL] if key.namespace == namespace]

    def pools_of(self, agent: Key) -> list[Key]:
        """Return the pools with an agentRef to this VoiceAgent."""
        return sorted(self._pools_by_agent.get(agent, ()))

    def sessions_of(self, agent: Key) -> list[Key]:
        """Return the sessions with an agentRef to this VoiceAgent."""
        return sorted(self._by_agent.get(agent, ()))

    def session_of_room(self, room: str) -> Key | None:
        return self._by_room.get(room)

    def deleted_sessions(self, key: Key) -> list[JsonObject]:
        """Return the deleted sessions with this name that are not cleaned up yet."""
        return list(self._deleted_sessions.get(key, {}).values())

    def forget_deleted(self, raw: JsonObject) -> None:
        """Drop a deleted session after its cleanup."""
        remaining = self._deleted_sessions[key_of(raw)]
        remaining.pop(uid_of(raw), None)
        if not remaining:
            del self._deleted_sessions[key_of(raw)]

    def _index(self, kind: ResourceKind, key: Key) -> None:
        raw = self._objects[kind][key]
        if kind is ResourceKind.POD:
            self._by_owner[Key(key.namespace, session_uid_of(raw))].add(key)
            if pool := pool_label_of(raw):
                self._by_pool[Key(key.namespace, pool)].add(key)
            if waits_for_room(raw):
                self._without_room[key.namespace].add(key)
        elif kind is ResourceKind.POOL:
            self._pools_by_agent[agent_of(raw)].add(key)
        elif kind is ResourceKind.SESSION:
            self._by_agent[agent_of(raw)].add(key)
            self._by_room[room_name(uid_of(raw))] = key

    def _unindex(self, kind: ResourceKind, key: Key) -> None:
        raw = self._objects[kind].get(key)
        if raw is None:
            return
        if kind is ResourceKind.POD:
            _discard(self._by_owner, Key(key.namespace, session_uid_of(raw)), key)
            _discard(self._by_pool, Key(key.namespace, pool_label_of(raw)), key)
            _discard(self._without_room, key.namespace, key)
        elif kind is ResourceKind.POOL:
            _discard(self._pools_by_agent, agent_of(raw), key)
        elif kind is ResourceKind.SESSION:
            _discard(self._by_agent, agent_of(raw), key)
            self._by_room.pop(room_name(uid_of(raw)), None)


def session_uid_of(pod: JsonObject) -> str:
    """Return the UID of the pod's session: of its controller, or of its label once it has no controller."""
    meta = pod["metadata"]
    owners = (owner for owner in meta.get("ownerReferences", ()) if owner.get("controller"))
    owner = next(owners, None) or {"uid": meta.get("labels", {}).get(constants.SESSION_UID_LABEL, "")}
    return str(owner.get("uid", ""))


def session_key_of(pod: JsonObject) -> Key | None:
    """Return the session of an agent pod from its annotation; None for other pods, and for another namespace."""
    text = pod["metadata"].get("annotations", {}).get(constants.SESSION_ANNOTATION, "")
    namespace, _, name = text.partition("/")
    return Key(namespace, name) if name and namespace == pod["metadata"]["namespace"] else None


def pool_label_of(pod: JsonObject) -> str:
    """Return the label with the pod's pool; empty for a pod that no pool created."""
    return str(pod["metadata"].get("labels", {}).get(constants.POOL_LABEL, ""))


def waits_for_room(pod: JsonObject) -> bool:
    """Return True for the pod of a session that no node has enough CPU, memory or another resource for."""
    meta = pod["metadata"]
    if constants.SESSION_UID_LABEL not in meta.get("labels", {}) or "deletionTimestamp" in meta:
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    unscheduled = (c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False")
    # kube-scheduler: "0/3 nodes are available: 3 Insufficient memory. …"
    return any("Insufficient" in c.get("message", "") for c in unscheduled)


def agent_of(referrer: JsonObject) -> Key:
    """Return the VoiceAgent of a session or of a pool."""
    return Key(referrer["metadata"]["namespace"], referrer["spec"]["agentRef"]["name"])


def _discard(index: defaultdict[Any, set[Key]], entry: Any, key: Key) -> None:
    index[entry].discard(key)
    if not index[entry]:
        del index[entry]


def _slim_pod(raw: JsonObject) -> JsonObject:
    """Keep only the fields that decisions use, so that ten times as many pods fit into memory."""
    meta, status = _slim_metadata(raw["metadata"]), raw.get("status") or {}
    kept = {name: status[name] for name in POD_STATUS if name in status}
    conditions = status.get("conditions") or ()
    kept["conditions"] = [condition for condition in conditions if condition["type"] in POD_CONDITIONS]
    for kind in CONTAINER_STATUSES:
        containers = status.get(kind) or ()
        kept[kind] = [{"name": each.get("name", ""), "state": each.get("state") or {}} for each in containers]
    metadata = {name: meta[name] for name in POD_METADATA if name in meta}
    node = (raw.get("spec") or {}).get("nodeName", "")
    return {"metadata": metadata, "spec": {"nodeName": sys.intern(node)}, "status": kept}


def _slim_resource(raw: JsonObject) -> JsonObject:
    return {**raw, "metadata": _slim_metadata(raw["metadata"])}


def _slim_metadata(meta: JsonObject) -> JsonObject:
    """Leave out managed fields and foreign annotations: anybody may write 256 KiB of these into an object."""
    kept = {name: value for name, value in meta.items() if name != "managedFields"}
    if "annotations" in kept:
        found = kept["annotations"].items()
        kept["annotations"] = {name: text for name, text in found if name in ANNOTATIONS}
        kept["annotations"] |= dict([item for item in sorted(found) if _is_forget_request(*item)][:FORGET_REQUESTS])
    return kept


def _is_forget_request(name: str, user: str) -> bool:
    return name.startswith(constants.FORGET_USER_ANNOTATION) and 0 < len(user) <= constants.USER_CHARACTERS


SLIM: Final[dict[ResourceKind, Callable[[JsonObject], JsonObject]]] = {
    ResourceKind.SESSION: _slim_resource,
    ResourceKind.AGENT: _slim_resource,
    ResourceKind.POOL: _slim_resource,
    ResourceKind.POD: _slim_pod,
}
