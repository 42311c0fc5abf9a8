"""The cache: the newest version wins, the deleted stay deleted, and every index follows."""

from voicesession_operator.controller.cache import Cache, Key, Kind, uid_of

from tests.support import operator_objects
from tests.support.builders import AGENT, ROOM, UID

HELLO = Key("default", "hello")


def test_only_news_is_taken_in() -> None:
    cache = Cache()
    assert cache.upsert(Kind.SESSION, operator_objects.session(version=5))
    assert not cache.upsert(Kind.SESSION, operator_objects.session(version=5))
    assert not cache.upsert(Kind.SESSION, operator_objects.session(version=4))
    assert cache.upsert(Kind.SESSION, operator_objects.session(version=6))


def test_versions_are_numbers() -> None:
    cache = Cache()
    cache.upsert(Kind.SESSION, operator_objects.session(version=9))
    assert cache.upsert(Kind.SESSION, operator_objects.session(version=10))


def test_the_deleted_do_not_come_back() -> None:
    cache = Cache()
    cache.upsert(Kind.POD, operator_objects.pod(version=1))
    assert cache.remove(Kind.POD, operator_objects.pod(version=2))
    assert not cache.remove(Kind.POD, operator_objects.pod(version=2))
    assert not cache.upsert(Kind.POD, operator_objects.pod(version=3))
    assert cache.pods_of(UID) == []


def test_a_late_deletion_spares_the_successor() -> None:
    cache = Cache()
    cache.upsert(Kind.SESSION, operator_objects.session(uid="new", version=9))
    assert cache.remove(Kind.SESSION, operator_objects.session(uid="old", version=5))
    found = cache.get(Kind.SESSION, HELLO)
    assert found is not None
    assert uid_of(found) == "new"
    assert [uid_of(gone) for gone in cache.departed(HELLO)] == ["old"]


def test_a_successor_makes_the_first_one_departed() -> None:
    cache = Cache()
    first = operator_objects.session(uid="old", version=5)
    cache.upsert(Kind.SESSION, first)
    cache.upsert(Kind.SESSION, operator_objects.session(uid="new", version=9))
    assert [uid_of(gone) for gone in cache.departed(HELLO)] == ["old"]
    cache.cleaned_up(first)
    assert cache.departed(HELLO) == []


def test_indexes_follow_their_objects() -> None:
    cache = Cache()
    cache.upsert(Kind.SESSION, operator_objects.session())
    cache.upsert(Kind.POD, operator_objects.pod(0))
    cache.upsert(Kind.POD, operator_objects.pod(1))
    assert cache.session_of_room(ROOM) == HELLO
    assert cache.sessions_of(Key("default", AGENT)) == [HELLO]
    assert [pod["metadata"]["uid"] for pod in cache.pods_of(UID)] == ["pod-uid-0", "pod-uid-1"]
    cache.remove(Kind.POD, operator_objects.pod(0))
    cache.remove(Kind.SESSION, operator_objects.session())
    assert cache.session_of_room(ROOM) is None
    assert cache.sessions_of(Key("default", AGENT)) == []
    assert [pod["metadata"]["uid"] for pod in cache.pods_of(UID)] == ["pod-uid-1"]


def test_what_no_decision_looks_at_is_not_kept() -> None:
    cache = Cache()
    cache.upsert(Kind.POD, operator_objects.pod())
    cache.upsert(Kind.SESSION, operator_objects.session())
    (pod,) = cache.all(Kind.POD)
    (session,) = cache.all(Kind.SESSION)
    assert "spec" not in pod
    assert "managedFields" not in session["metadata"]


def test_tombstones_are_bounded() -> None:
    cache = Cache()
    for number in range(10_050):
        cache.remove(Kind.POD, {"metadata": {"namespace": "n", "name": "p", "uid": str(number)}})
    assert len(cache._tombstones) == 10_000
