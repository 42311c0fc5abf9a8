"""The token that lets one human into one room, and nothing else."""

from dataclasses import dataclass, field
from datetime import timedelta

from livekit import api
from voicesession_common.api import constants

from voicesession_gateway.session_record import Record
from voicesession_gateway.session_request import Guest


@dataclass(frozen=True)
class Mint:
    """Signs with LiveKit's key. A token opens the door for `seconds`; who is inside stays."""

    key: str
    secret: str = field(repr=False)
    seconds: float = 300

    def token(self, record: Record, guest: Guest) -> str:
        """For the session's room only: no room may be created, no metadata of one's own be changed later."""
        grants = api.VideoGrants(room_join=True, room=record.room, can_update_own_metadata=False)
        own = {constants.ROLE_ATTRIBUTE: constants.HUMAN_ROLE, constants.SESSION_ATTRIBUTE: record.name}
        token = api.AccessToken(self.key, self.secret).with_identity(guest.identity).with_kind("standard")
        token = token.with_name(guest.name or guest.identity).with_metadata(guest.metadata)
        token = token.with_attributes(guest.attributes | own).with_ttl(timedelta(seconds=self.seconds))
        return token.with_grants(grants).to_jwt()
