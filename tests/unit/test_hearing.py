"""What excuses a sentence that had to be said twice."""

import pytest

from tests.e2e.hearing import misheard


@pytest.mark.parametrize(
    ("said", "heard", "other"),
    [
        ("What is my secret word?", "What is my secret ward?", True),
        ("What is my secret word?", "what is, my secret word", False),
        ("What is my secret word?", "", False),
        ("Test one", "Test 1.", False),
        ("What is my favorite color?", "What is my favourite colour?", False),
    ],
)
def test_misheard_is_what_was_heard_and_not_said(said: str, heard: str, other: bool) -> None:
    assert misheard(said, heard) is other
