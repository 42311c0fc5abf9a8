"""Who asks: as the rest of the gateway knows her, whatever proved it."""

from dataclasses import dataclass

from voicesession_operator.gateway import naming


@dataclass(frozen=True)
class Caller:
    """`identity` is unique over all ways to authenticate. `user` is empty where the caller may name users herself."""

    identity: str
    user: str = ""

    @property
    def label(self) -> str:
        return naming.label(self.identity)

    def user_label(self, user: str) -> str:
        """Of one of the caller's users; two callers' users are strangers, whatever they are called."""
        return naming.label(self.identity, user)


ANONYMOUS = Caller("anonymous")
