"""A Prometheus on the host with the chart's scrape configurations and alerts."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster.kubectl import program
from tests.support.polling import until

Json = dict[str, Any]

SCRAPE_SECONDS = 2
READY_SECONDS = 30
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Series:
    """One line of a graph; points are pairs of Unix time and value."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class Prometheus:
    """Client of the HTTP API."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.began = time.time()

    def query(self, expr: str) -> list[Json]:
        """Return the instant vector of now; raise AssertionError with Prometheus' error message."""
        found: list[Json] = self._get("query", query=expr)["result"]
        return found

    def values(self, expr: str) -> list[float]:
        """Return the values of the instant vector."""
        return [float(found["value"][1]) for found in self.query(expr)]

    def graph(self, expr: str, begin: float, end: float, step: float) -> list[Series]:
        """Return the series between two Unix times."""
        found = self._get("query_range", query=expr, start=begin, end=end, step=step)["result"]
        return [Series(s["metric"], [(float(at), float(value)) for at, value in s["values"]]) for s in found]

    def targets(self) -> list[Json]:
        """Return the active targets."""
        found: list[Json] = self._get("targets", state="active")["activeTargets"]
        return found

    def firing(self) -> set[str]:
        """Return the names of the firing alerts."""
        return {found["metric"]["alertname"] for found in self.query('ALERTS{alertstate="firing"}')}

    def wait_until_firing(self, alert: str, seconds: float) -> None:
        """Wait until the alert fires."""
        until(lambda: alert in self.firing(), f"{alert} fires", seconds, poll=1.0)

    def fired_alerts(self) -> set[str]:
        """Return the names of all alerts that have fired since this Prometheus started."""
        since = max(int(time.time() - self.began), 1)
        found = self.query(f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{since}s]))')
        return {series["metric"]["alertname"] for series in found}

    def is_ready(self) -> bool:
        """Return whether Prometheus is ready."""
        try:
            with urllib.request.urlopen(f"{self._address}/-/ready", timeout=ANSWER_SECONDS):  # noqa: S310  http only
                return True
        except OSError:
            return False

    def _get(self, path: str, **fields: Any) -> Json:
        url = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  http only
                data: Json = json.loads(answer.read())["data"]
                return data
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{fields}: {refused.read().decode()}") from None


def configuration(scrape_configs: list[Json], rules: Path) -> Json:
    """Return a configuration with short intervals."""
    interval = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules)],
        "scrape_configs": scrape_configs,
    }


@contextmanager
def running(scrape_configs: list[Json], rules: Json, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus while the block runs; raise AssertionError with its log if it does not start."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    config, log, port = folder / "prometheus.yaml", folder / "prometheus.log", _free_port()
    config.write_text(yaml.safe_dump(configuration(scrape_configs, folder / "rules.yaml")))
    command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            until(lambda: found.is_ready() or process.poll() is not None, "Prometheus answers", READY_SECONDS, poll=0.2)
            assert process.poll() is None, log.read_text()
            yield found
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
