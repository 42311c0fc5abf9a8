"""The outcome of a test, recorded by a hook of tests/conftest.py and read by fixtures during teardown."""

import pytest

FAILED = pytest.StashKey[bool]()
"""True after a failed test."""
