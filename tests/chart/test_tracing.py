"""Traces: off at first; with an address, the operator hears of it and tells its agent pods."""

import pytest
from voicesession_operator.settings import Settings

from tests.chart.rendering import VARIANTS, ChartError, Object, containers, environment, render, template, workload

ENDPOINT, RATIO = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"


def operator(values: Object) -> Object:
    (container,) = containers(workload(render(values), "operator"))
    return environment(container)


def test_without_being_asked_nothing_is_sent_anywhere() -> None:
    assert not [name for name in operator({}) if name.startswith("OTEL_")]
    assert "OTEL_" not in template({"tracing.endpoint": "http://collector:4318"})


@pytest.mark.parametrize(("ratio", "expected"), [(None, 1.0), (0.25, 0.25), (0, 0.0), (0.00001, 0.00001)])
def test_the_operator_reads_what_the_chart_says(ratio: float | None, expected: float) -> None:
    found = operator(VARIANTS["traced"] | ({} if ratio is None else {"tracing.sampleRatio": ratio}))
    given = {name: value if isinstance(value, str) else "given" for name, value in found.items()}
    settings = Settings.from_env(given)
    assert (settings.otlp_endpoint, settings.trace_ratio) == ("http://collector:4318", expected)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"tracing.enabled": True}, "endpoint"),
        ({"tracing.enabled": True, "tracing.endpoint": "collector:4317"}, "endpoint"),
        (VARIANTS["traced"] | {"tracing.sampleRatio": 2}, "sampleRatio"),
        (VARIANTS["traced"] | {"tracing.headers": {}}, "headers"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: Object, complaint: str) -> None:
    with pytest.raises(ChartError, match=complaint):
        render(values)


def test_an_upgrade_that_reuses_values_from_before_there_were_traces_is_rendered() -> None:
    assert not [name for name in operator({"tracing": None}) if name.startswith("OTEL_")]
