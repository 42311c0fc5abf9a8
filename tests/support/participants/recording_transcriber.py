"""The independent recognizer for recordings of a browser, in its own process: it uses all memory and CPU it can get."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
from voicesession_cli.voice import audio as sound
from voicesession_cli.voice.recognizer import SpeechRecognizer

TRANSCRIBE_SECONDS = 120


def transcribe(recordings: list[bytes], folder: Path) -> str:
    """Return the words of all recordings (WebM); call it when all rooms are empty."""
    paths = [folder / f"heard-{number}.webm" for number in range(len(recordings))]
    for path, recording in zip(paths, recordings, strict=True):
        path.write_bytes(recording)
    command = [sys.executable, "-m", "tests.support.participants.recording_transcriber", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TRANSCRIBE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def samples(path: Path) -> sound.Samples:
    """Decode a recording to 16 kHz mono."""
    resampler = av.AudioResampler("s16", "mono", sound.RECEIVE_RATE)
    with av.open(str(path)) as media:
        frames = [part for frame in media.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)


if __name__ == "__main__":
    recognizer = SpeechRecognizer()
    print(" ".join(recognizer.transcribe(samples(Path(name))) for name in sys.argv[1:]))
