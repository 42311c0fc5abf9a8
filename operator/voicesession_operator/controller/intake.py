"""The one way in for news about objects, from the watch or from a full list: into the cache, and keys into queues."""

from voicesession_operator.controller.cache import Cache, Key, Kind, Object, key_of, session_key_of
from voicesession_operator.controller.workqueue import WorkQueue


class Intake:
    """Both methods say whether it was news."""

    def __init__(self, cache: Cache, sessions: WorkQueue[Key], agents: WorkQueue[Key]) -> None:
        self._cache = cache
        self._sessions = sessions
        self._agents = agents

    def seen(self, kind: Kind, raw: Object) -> bool:
        """The object exists, like this."""
        news = self._cache.upsert(kind, raw)
        if news:
            self._enqueue(kind, raw)
        return news

    def gone(self, kind: Kind, raw: Object) -> bool:
        """The object has been deleted."""
        news = self._cache.remove(kind, raw)
        if news:
            self._enqueue(kind, raw)
        return news

    def _enqueue(self, kind: Kind, raw: Object) -> None:
        if kind is Kind.SESSION:
            self._sessions.add(key_of(raw))
        elif kind is Kind.POD:
            owner = session_key_of(raw)
            if owner is not None:
                self._sessions.add(owner)
        else:
            self._agents.add(key_of(raw))
            for session in self._cache.sessions_of(key_of(raw)):
                self._sessions.add(session)
