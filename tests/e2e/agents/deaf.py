"""A livekit plug-in whose first user in a pod is deaf: it gets all sound and makes out no word; the next one hears."""

from pathlib import Path
from typing import Any, Final

from livekit.agents import stt
from voicesession_agent.speech.moonshine import MoonshineSTT

TAKEN: Final = Path("/tmp/deaf")  # noqa: S108  the one writable path of the container
"""There once a job of this pod has been deaf."""


class STT(MoonshineSTT):
    """One for each job process, made before anybody knows whether it will be the first."""

    def __init__(self) -> None:
        super().__init__()
        self._deaf: bool | None = None

    async def _recognize_impl(self, *args: Any, **kwargs: Any) -> stt.SpeechEvent:
        if self._deaf is None:
            self._deaf = not TAKEN.exists()
            TAKEN.touch()
        heard = await super()._recognize_impl(*args, **kwargs)
        if self._deaf:
            heard.alternatives = []
        return heard
