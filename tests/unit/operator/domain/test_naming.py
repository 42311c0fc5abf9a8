"""Names: derived from the session alone, and valid in Kubernetes and LiveKit."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voicesession_operator.domain import naming
from voicesession_operator.domain.observed import RoomOwner

from tests.support.builders import UID, session

DNS_NAME = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)


def test_room_name_is_stable() -> None:
    assert naming.room_name(UID) == naming.room_name(UID)
    assert re.fullmatch(r"vs-[a-z0-9]{12}", naming.room_name(UID))
    assert naming.room_name(UID) != naming.room_name(UID + "x")


@given(st.uuids())
def test_room_name_has_valid_characters(uid: object) -> None:
    assert re.fullmatch(r"vs-[a-z0-9]{12}", naming.room_name(str(uid)))


@given(DNS_NAME, st.uuids(), st.integers(0, 1000))
def test_pod_name_is_valid_host_name(name: str, uid: object, ordinal: int) -> None:
    made = naming.pod_name(name, str(uid), ordinal)
    assert len(made) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", made)
    assert made.endswith(f"-{ordinal}")


def test_pod_names_differ_by_session_uid() -> None:
    assert naming.pod_name("hello", "uid-1", 0) != naming.pod_name("hello", "uid-2", 0)


def test_long_names_are_shortened() -> None:
    assert naming.pod_name("a" * 300, UID, 0).startswith("a" * 40 + "-")
    assert len(naming.agent_identity("b" * 300)) == 63
    assert len(naming.label_value("c" * 253)) <= 63
    assert naming.label_value("agent-66") == "agent-66"


def test_room_metadata_names_session() -> None:
    found = json.loads(naming.room_metadata(session().build(), "inst"))
    assert found == {
        "voicesession": {"installation": "inst", "namespace": "default", "name": "hello"},
        "metadata": "",
    }


def test_room_metadata_is_without_the_uid() -> None:
    assert UID not in naming.room_metadata(session().build(), "inst")


def test_room_owner_is_read_back_with_the_cluster() -> None:
    metadata = naming.room_metadata(session().build(), "inst")
    assert naming.room_owner(metadata) == RoomOwner("inst", "default", "hello")
    cluster = naming.cluster_id("uid-kube-system")
    marked = naming.with_cluster(metadata, cluster)
    assert naming.room_owner(marked) == RoomOwner("inst", "default", "hello", cluster)
    assert naming.with_cluster(metadata, "") == metadata


def test_cluster_id_hides_the_uid() -> None:
    assert re.fullmatch("[0-9a-f]{16}", naming.cluster_id(UID))
    assert naming.cluster_id(UID) != UID[:16]


def owner(**values: object) -> str:
    return json.dumps({"voicesession": {"installation": "inst", "namespace": "default", "name": "hello"} | values})


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "[" * 3000 + '"voicesession"',
        '["voicesession"]',
        '{"voicesession": "inst"}',
        '{"voicesession": ["inst"]}',
        owner(name=["hello"]),
        owner(namespace=7),
        owner(cluster={}),
        owner() + " " * naming.METADATA_CHARACTERS,
    ],
)
def test_foreign_metadata_has_no_owner(metadata: str) -> None:
    assert naming.room_owner(metadata) is None


def test_room_owner_ignores_further_fields() -> None:
    assert naming.room_owner(owner(uid=["old"])) == RoomOwner("inst", "default", "hello")
