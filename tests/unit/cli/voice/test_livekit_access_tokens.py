"""The human's token opens one room and nothing else."""

from livekit import api
from voicesession_cli.voice.livekit_access import human_token

KEY, SECRET = "key", "0123456789abcdef0123456789abcdef"


def test_one_room_as_a_human() -> None:
    claims = api.TokenVerifier(KEY, SECRET).verify(human_token(KEY, SECRET, "vs-a", "person-x", "Alice"))
    assert (claims.identity, claims.name, claims.kind) == ("person-x", "Alice", "standard")
    assert claims.attributes == {"voicesession.role": "human"}
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == ("vs-a", True)
    assert not claims.video.room_create
    assert not claims.video.room_admin
    assert not claims.video.room_list
