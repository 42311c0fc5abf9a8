"""Tracing settings of gateway and operator: off by default, and equal to the values when enabled."""

from collections.abc import Callable

import pytest
from voicesession_gateway.settings import GatewaySettings
from voicesession_operator.settings import OperatorSettings

from tests.support.chart.rendering import (
    VARIANTS,
    ChartError,
    Object,
    containers,
    environment,
    render,
    template,
    workload,
)

PROGRAMS = pytest.mark.parametrize(
    ("program", "read"), [("operator", OperatorSettings.from_env), ("gateway", GatewaySettings.from_env)]
)


def variables(program: str, values: Object) -> Object:
    (container,) = containers(workload(render(values), program))
    return environment(container)


def test_tracing_is_off_by_default() -> None:
    assert "OTEL_" not in template({})
    assert "OTEL_" not in template({"tracing.endpoint": "http://collector:4318"})


@PROGRAMS
@pytest.mark.parametrize(("ratio", "expected"), [(None, 1.0), (0.25, 0.25), (0, 0.0), (0.00001, 0.00001)])
def test_program_settings_equal_tracing_values(
    program: str, read: Callable[[Object], OperatorSettings | GatewaySettings], ratio: float | None, expected: float
) -> None:
    found = variables(program, VARIANTS["traced"] | ({} if ratio is None else {"tracing.sampleRatio": ratio}))
    settings = read({name: value if isinstance(value, str) else "given" for name, value in found.items()})
    assert (settings.otlp_endpoint, settings.trace_ratio) == ("http://collector:4318", expected)
    assert settings.pod_name == "given"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"tracing.enabled": True}, "endpoint"),
        ({"tracing.enabled": True, "tracing.endpoint": "collector:4317"}, "endpoint"),
        (VARIANTS["traced"] | {"tracing.sampleRatio": 2}, "sampleRatio"),
        (VARIANTS["traced"] | {"tracing.headers": {}}, "headers"),
    ],
)
def test_invalid_tracing_value_is_rejected(values: Object, complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        render(values)


def test_values_without_tracing_section_render() -> None:
    assert "OTEL_" not in template({"tracing": None})
