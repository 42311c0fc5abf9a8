"""The metrics, from the registries of the programs."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from voicesession_agent.metrics import Metrics as AgentMetrics
from voicesession_common.api.constants import METRICS_PORT
from voicesession_gateway.metrics import REGISTRY as GATEWAY
from voicesession_operator.metrics import REGISTRY as OPERATOR

from hack.reference.markdown import code, section, table

REGISTRIES = (
    ("operator", "port 8080, `/metrics`, with the standard `process_` and `python_` metrics", OPERATOR),
    ("gateway", "port 9001, `/metrics`, with the standard `process_` and `python_` metrics", GATEWAY),
    ("agent pod", f"port {METRICS_PORT}, `/metrics`", AgentMetrics().registry),
)


def render() -> str:
    """Return one table for each program."""
    return section(2, "Metrics", *(_program(*entry) for entry in REGISTRIES))


def names() -> set[str]:
    """Return the names of all metrics as Prometheus stores them."""
    return {name for _, _, registry in REGISTRIES for name, _, _, _ in _metrics(registry)}


def _program(name: str, endpoint: str, registry: CollectorRegistry) -> str:
    rows = [(code(metric), kind, labels, text) for metric, kind, labels, text in sorted(_metrics(registry))]
    return section(3, f"Metrics of the {name}", f"At {endpoint}.", table(("metric", "type", "labels", "meaning"), rows))


def _metrics(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, labels and help of each metric.

    The library has no public way to read the label names of a metric without series.
    """
    for collector in registry._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            (family,) = collector.describe()
            suffix = "_total" if family.type == "counter" else ""
            labels = ", ".join(map(code, collector._labelnames))
            yield family.name + suffix, family.type, labels, family.documentation
