"""Conversion and validation of timestamps."""

import pytest
from voicesession_common.api.timestamps import from_rfc3339, is_rfc3339, to_rfc3339


def test_timestamps_round_trip() -> None:
    assert to_rfc3339(1763853611.5) == "2025-11-22T23:20:11.500Z"
    assert from_rfc3339("2025-11-22T23:20:11.500Z") == 1763853611.5
    assert from_rfc3339(None) is None
    with pytest.raises(ValueError, match="tomorrow"):
        from_rfc3339("tomorrow")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2026-11-24T10:45:05Z", True),
        ("2026-11-24T10:45:05.123456789Z", True),
        ("2026-11-24t11:45:05+01:00", True),
        ("2026-11-24T10:45:05", False),
        ("2026-11-24 10:45:05Z", False),
        ("2026-11-24", False),
        ("2026-02-30T10:45:05Z", False),
        ("2026-W48-2", False),
        ("1763853611", False),
        ("\u0662026-11-24T10:45:05Z", False),
        ("now", False),
        ("", False),
    ],
)
def test_is_rfc3339_checks_format_and_range(text: str, right: bool) -> None:
    assert is_rfc3339(text) is right
