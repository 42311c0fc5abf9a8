"""LiveKit access tokens: one human, one room, nothing else."""

from dataclasses import dataclass, field
from datetime import timedelta

from livekit import api
from voicesession_common.api import constants

from voicesession_gateway.session_record import SessionRecord
from voicesession_gateway.session_request import ParticipantRequest


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens with LiveKit's API key. A token is valid for joining for `seconds`; participants may stay longer."""

    key: str
    secret: str = field(repr=False)
    seconds: float = 300

    def issue(self, record: SessionRecord, participant: ParticipantRequest) -> str:
        """Return a token for the session's room.

        It does not let participants create rooms or change their own metadata later.
        """
        grants = api.VideoGrants(room_join=True, room=record.room, can_update_own_metadata=False)
        own = {constants.ROLE_ATTRIBUTE: constants.HUMAN_ROLE, constants.SESSION_ATTRIBUTE: record.name}
        token = api.AccessToken(self.key, self.secret).with_identity(participant.identity).with_kind("standard")
        token = token.with_name(participant.name or participant.identity).with_metadata(participant.metadata)
        token = token.with_attributes(participant.attributes | own).with_ttl(timedelta(seconds=self.seconds))
        return token.with_grants(grants).to_jwt()
