"""The cache: versions, tombstones, indexes and slimmed objects."""

from voicesession_common import JsonObject
from voicesession_common.api.constants import (
    FORGET_USER_ANNOTATION,
    HUMAN_EXPECTED_AT_ANNOTATION,
    RESET_REQUESTED_AT_ANNOTATION,
)
from voicesession_operator.controller.cache import Cache, Key, ResourceKind, uid_of

from tests.support import operator_objects
from tests.support.builders import AGENT, ROOM, UID

HELLO = Key("default", "hello")


def test_upsert_accepts_only_newer_versions() -> None:
    cache = Cache()
    assert cache.upsert(ResourceKind.SESSION, operator_objects.session(version=5))
    assert not cache.upsert(ResourceKind.SESSION, operator_objects.session(version=5))
    assert not cache.upsert(ResourceKind.SESSION, operator_objects.session(version=4))
    assert cache.upsert(ResourceKind.SESSION, operator_objects.session(version=6))


def test_upsert_compares_versions_as_numbers() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.SESSION, operator_objects.session(version=9))
    assert cache.upsert(ResourceKind.SESSION, operator_objects.session(version=10))


def test_deleted_objects_are_not_restored() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.POD, operator_objects.pod(version=1))
    assert cache.remove(ResourceKind.POD, operator_objects.pod(version=2))
    assert not cache.remove(ResourceKind.POD, operator_objects.pod(version=2))
    assert not cache.upsert(ResourceKind.POD, operator_objects.pod(version=3))
    assert cache.pods_of("default", UID) == []


def test_late_deletion_keeps_a_new_object_with_the_same_name() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.SESSION, operator_objects.session(uid="new", version=9))
    assert cache.remove(ResourceKind.SESSION, operator_objects.session(uid="old", version=5))
    found = cache.get(ResourceKind.SESSION, HELLO)
    assert found is not None
    assert uid_of(found) == "new"
    assert [uid_of(raw) for raw in cache.deleted_sessions(HELLO)] == ["old"]


def test_new_object_with_the_same_name_marks_the_old_object_deleted() -> None:
    cache = Cache()
    old = operator_objects.session(uid="old", version=5)
    cache.upsert(ResourceKind.SESSION, old)
    cache.upsert(ResourceKind.SESSION, operator_objects.session(uid="new", version=9))
    assert [uid_of(raw) for raw in cache.deleted_sessions(HELLO)] == ["old"]
    cache.forget_deleted(old)
    assert cache.deleted_sessions(HELLO) == []


def test_indexes_follow_upserts_and_removals() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.SESSION, operator_objects.session())
    cache.upsert(ResourceKind.POD, operator_objects.pod(0))
    cache.upsert(ResourceKind.POD, operator_objects.pod(1))
    assert cache.session_of_room(ROOM) == HELLO
    assert cache.sessions_of(Key("default", AGENT)) == [HELLO]
    assert [pod["metadata"]["uid"] for pod in cache.pods_of("default", UID)] == ["pod-uid-0", "pod-uid-1"]
    cache.remove(ResourceKind.POD, operator_objects.pod(0))
    cache.remove(ResourceKind.SESSION, operator_objects.session())
    assert cache.session_of_room(ROOM) is None
    assert cache.sessions_of(Key("default", AGENT)) == []
    assert [pod["metadata"]["uid"] for pod in cache.pods_of("default", UID)] == ["pod-uid-1"]


def test_unused_fields_are_dropped() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.POD, operator_objects.pod())
    cache.upsert(ResourceKind.SESSION, operator_objects.session())
    (pod,) = cache.all(ResourceKind.POD)
    (session,) = cache.all(ResourceKind.SESSION)
    assert pod["spec"] == {"nodeName": operator_objects.pod().get("spec", {}).get("nodeName", "")}
    assert "managedFields" not in session["metadata"]


def test_foreign_annotations_are_dropped() -> None:
    cache, pod, session = Cache(), operator_objects.pod(), operator_objects.session()
    pod["metadata"]["annotations"]["foreign"] = "x" * 1000
    read = {RESET_REQUESTED_AT_ANNOTATION: "now", HUMAN_EXPECTED_AT_ANNOTATION: "now"}
    session["metadata"]["annotations"] = {"foreign": "x", **read}
    cache.upsert(ResourceKind.POD, pod)
    cache.upsert(ResourceKind.SESSION, session)
    kept = [next(iter(cache.all(kind)))["metadata"]["annotations"] for kind in (ResourceKind.POD, ResourceKind.SESSION)]
    assert kept == [operator_objects.pod()["metadata"]["annotations"], read]


def test_tombstones_at_capacity_drop_the_oldest() -> None:
    def pod(number: int) -> JsonObject:
        raw = operator_objects.pod()
        return {**raw, "metadata": {**raw["metadata"], "name": f"pod-{number}", "uid": str(number)}}

    cache = Cache(tombstones=2)
    for number in range(3):
        cache.remove(ResourceKind.POD, pod(number))
    assert [cache.upsert(ResourceKind.POD, pod(number)) for number in range(3)] == [True, False, False]


def test_cached_pod_keeps_only_the_fields_of_decisions() -> None:
    cache, raw = Cache(), operator_objects.pod()
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    state = {"waiting": {"reason": "ImagePullBackOff"}}
    raw["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "Initialized", "status": "True"}, scheduled],
        "containerStatuses": [{"name": "agent", "image": "a", "imageID": "b", "state": state}, {"name": "proxy"}],
        "hostIPs": [{"ip": "10.0.0.1"}],
    }
    cache.upsert(ResourceKind.POD, raw)
    (kept,) = cache.pods_of("default", UID)
    assert kept["status"] == {
        "phase": "Pending",
        "conditions": [scheduled],
        "containerStatuses": [{"name": "agent", "state": state}, {"name": "proxy", "state": {}}],
        "initContainerStatuses": [],
    }


def test_valid_forget_requests_are_kept_up_to_a_limit() -> None:
    agent = operator_objects.agent()
    users = {f"{FORGET_USER_ANNOTATION}{number:02}": f"user-{number}" for number in range(20)}
    invalid = {f"{FORGET_USER_ANNOTATION}00-empty": "", f"{FORGET_USER_ANNOTATION}00-long": "x" * 254}
    agent["metadata"]["annotations"] = users | invalid | {"foreign": "x"}
    cache = Cache()
    cache.upsert(ResourceKind.AGENT, agent)
    (stored,) = cache.all(ResourceKind.AGENT)
    assert stored["metadata"]["annotations"] == dict(sorted(users.items())[:16])


def unscheduled(message: str, version: int = 1) -> JsonObject:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return operator_objects.pod(version=version, conditions=[condition])


def test_sessions_without_room_are_counted_by_namespace() -> None:
    cache = Cache()
    cache.upsert(ResourceKind.POD, unscheduled("0/1 nodes are available: 1 Insufficient memory."))
    assert (cache.sessions_without_room("default"), cache.sessions_without_room("other")) == (1, 0)
    cache.upsert(ResourceKind.POD, unscheduled("0/1 nodes are available: 1 node(s) were unschedulable.", version=2))
    assert cache.sessions_without_room("default") == 0
    cache.upsert(ResourceKind.POD, unscheduled("0/1 nodes are available: 1 Insufficient cpu.", version=3))
    cache.remove(ResourceKind.POD, operator_objects.pod())
    assert cache.sessions_without_room("default") == 0
