"""What holds for every test: its order, its progress, and its outcome, known to its fixtures."""

from collections.abc import Generator

import hypothesis
import pytest

from tests import turns
from tests.support.outcome import FAILED

hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # as pytest-xdist tells a process that it is one of several
        config.pluginmanager.register(turns.Turns())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First of all who see the items: pytest-xdist reads the groups as they are then."""
    turns.arrange(items)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """A cluster test takes seconds: it shows its time, verdict and name where others show a dot."""
    if report.when != "call" or report.skipped or "cluster" not in report.keywords:
        return None
    line = f"\n{report.duration:7.1f} s  {report.outcome}  {report.nodeid}"
    return report.outcome, line, report.outcome.upper()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that the test itself failed, so that fixtures can keep what explains it."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report
