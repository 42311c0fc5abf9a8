"""Names of all metrics that the project's processes export."""

import re
from functools import cache

from voicesession_agent.metrics import Metrics
from voicesession_gateway.metrics import REGISTRY as GATEWAY
from voicesession_operator.metrics import REGISTRY

SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
LIBRARY = frozenset({"process_resident_memory_bytes", "process_cpu_seconds_total"})
"""Metrics of prometheus_client itself; absent without /proc."""
_NAME = re.compile(r"\b(?:voicesession|process|python)_[a-z0-9_]+")


@cache
def families() -> frozenset[str]:
    """Return the names of all exported samples."""
    found = [*REGISTRY.collect(), *GATEWAY.collect(), *Metrics().registry.collect()]
    ours = (family for family in found if family.name.startswith("voicesession_"))
    return LIBRARY | {f"{family.name}{suffix}" for family in ours for suffix in SUFFIXES[family.type]}


def in_query(expr: str) -> set[str]:
    """Return the names of the samples in a query."""
    return set(_NAME.findall(expr))
