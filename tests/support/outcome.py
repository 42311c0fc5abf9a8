"""How a test ended, told from the hook that knows to the fixtures that care."""

import pytest

FAILED = pytest.StashKey[bool]()
