"""Order, progress lines and outcomes of all tests."""

from collections.abc import Generator

import hypothesis
import pytest

from tests.support.outcome import FAILED

SHARED_MACHINE = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("same examples", SHARED_MACHINE, derandomize=True)
hypothesis.settings.register_profile("new examples", SHARED_MACHINE)
# The gate must not depend on luck. To search for failures: pytest --hypothesis-profile="new examples"
hypothesis.settings.load_profile("same examples")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: without cluster first, then groups, then single tests, and tests of the release last.

    A group of pytest-xdist runs in one process and takes longest, so it starts before the single tests.
    """
    items.sort(key=_position)


def _position(item: pytest.Item) -> tuple[bool, bool, bool]:
    release, cluster, group = (
        item.get_closest_marker(name) is not None for name in ("release", "cluster", "xdist_group")
    )
    return release, cluster, cluster and not group


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Return a line with duration, outcome and name for a test on the cluster; other tests show a dot."""
    if report.when != "call" or report.skipped or "cluster" not in report.keywords:
        return None
    line = f"\n{report.duration:7.1f} s  {report.outcome}  {report.nodeid}"
    return report.outcome, line, report.outcome.upper()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record that the test itself failed, so that its fixtures can report the state of the cluster."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report
