"""Names: derived from the session alone, and valid in Kubernetes and LiveKit."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from voicesession_operator.domain import naming

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
