"""The program: full lists cause few full garbage collections."""

import gc
import json
from collections.abc import Iterator

import pytest
from voicesession_operator.__main__ import limit_collections

from tests.support import operator_objects

PAGE = json.dumps([operator_objects.pod()] * 1000)
PAGES = 50


@pytest.fixture
def limited() -> Iterator[None]:
    """Limit collections during the test."""
    before = gc.get_threshold()
    limit_collections()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("limited")
def test_pages_of_full_lists_cause_few_full_collections() -> None:
    before = gc.get_stats()[2]["collections"]
    for _ in range(PAGES):
        json.loads(PAGE)
    assert gc.get_stats()[2]["collections"] - before <= 1
