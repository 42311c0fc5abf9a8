"""The speech recognizer loads only the published model."""

import hashlib
from pathlib import Path

import pytest
from voicesession_cli.errors import CommandError
from voicesession_cli.voice.recognizer import verify


def test_verify_accepts_only_published_model(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    verify(path, hashlib.sha256(b"weights").hexdigest())
    with pytest.raises(CommandError, match="not the published model"):
        verify(path, hashlib.sha256(b"others").hexdigest())
