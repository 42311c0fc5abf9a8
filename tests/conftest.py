"""What every test may use: the outcome of a test, known to its fixtures."""

from collections.abc import Generator

import pytest

from tests.outcome import FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that the test itself failed, so that fixtures can keep what explains it."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report
