"""Traces with a real collector: one trace covers the token request, the start and the first audible audio."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from voicesession_common.api.constants import TRACEPARENT_ANNOTATION
from voicesession_gateway.sessions import TOKEN_REQUEST

from hack.cluster import constants, release
from tests.support.cluster import operator_pods
from tests.support.cluster.gateway import Answer, replica
from tests.support.cluster.helm import helm
from tests.support.cluster.kubectl import Json, Kube, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.observability import otlp_receiver
from tests.support.observability.otlp_receiver import PORT
from tests.support.participants.speaker import Speaker
from tests.support.participants.spoken_turns import REMEMBER
from tests.support.polling import until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.speech,
    pytest.mark.disruptive,
    pytest.mark.timeout(900),
]

COLLECTOR = "collector"
SAMPLED = 1
"""The flag of a sampled trace in W3C's traceparent."""
IMAGE = f"voicesession/operator:{constants.VERSION}"
"""Any image with opentelemetry-proto."""
UP_SECONDS = 60
ROLLOUT_SECONDS = 180
SENT_SECONDS = 30
"""Batches are sent every 2 s; the rest is for a busy machine."""
LISTED_SECONDS = 20
LIMITS = {"startSeconds": 180, "joinSeconds": 600}
ON_LAST_HUMAN_LEFT = {"graceSeconds": 1, "reconnectGraceSeconds": 2}
SERVICES = {"voicesession-gateway", "voicesession-operator", "voicesession-agent"}
START = {"session start", "pod created", "process started", "models loaded", "bound", "joined", "seen", "job", "join"}
ATTRIBUTES = {
    "service.name",
    "service.instance.id",
    "voicesession.session.uid",
    "voicesession.agent",
    "voicesession.namespace",
    "voicesession.epoch",
    "voicesession.cause",
    "voicesession.end_reason",
}
SPOKEN = {"memory load", "first audio", "turn", "llm first token", "tts first audio"}


@dataclass(frozen=True)
class Collector:
    """The collector's pod."""

    kube: Kube
    namespace: str

    def address(self) -> str:
        """Return the collector's URL inside the cluster."""
        pod = self.kube.get("pod", COLLECTOR, self.namespace)
        assert pod, "no collector"
        return f"http://{pod['status']['podIP']}:{PORT}"

    def spans(self, trace: str) -> dict[str, Json]:
        """Return the spans of one trace by name; of several with the same name, the first."""
        text = self.kube.run("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{COLLECTOR}:{PORT}/proxy/spans")
        return {span["name"]: span for span in reversed(json.loads(text)) if span["trace"] == trace}

    def wait_for_spans(self, trace: str, names: set[str]) -> dict[str, Json]:
        """Wait until the trace has spans of all these names; return its spans."""

        def check() -> dict[str, Json] | None:
            found = self.spans(trace)
            return found if names <= found.keys() else None

        try:
            return until(check, f"spans {sorted(names)}", SENT_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}; found: {sorted(self.spans(trace))}") from None


@pytest.fixture(scope="module")
def collector(kube: Kube, livekit: LiveKit) -> Iterator[Collector]:
    """Start a collector, and configure the release to send its spans there."""
    namespace = f"traces-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    kube.apply(_pod(namespace))
    kube.wait(f"pod/{COLLECTOR}", "condition=Ready", namespace, UP_SECONDS)
    made = Collector(kube, namespace)
    try:
        _upgrade(kube, f"tracing.endpoint={made.address()}", "tracing.enabled=true")
        yield made
    finally:
        release.install(print)
        until(lambda: operator_pods.all_ready(kube), "both operators", ROLLOUT_SECONDS)
        kube.run("delete", "namespace", namespace, "--wait=false")


def test_trace_spans_token_request_to_first_audio(
    collector: Collector, scenario: Scenario, agent_66: Json, tmp_path: Path
) -> None:
    scenario.kube.apply(
        copy_of(agent_66, "agent-66", scenario.namespace, limits=LIMITS, onLastHumanLeft=ON_LAST_HUMAN_LEFT)
    )
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)
    answer = _token(collector, scenario, tmp_path)
    session = scenario.session(answer.session)
    trace, request = _request_context(session)
    with Speaker(scenario.livekit, session) as alice:
        alice.join_with_token(answer.body["participant_token"])
        alice.wait_for_agent()
        alice.wait_for_greeting()
        alice.say(REMEMBER, "blue")
        collector.wait_for_spans(trace, START | SPOKEN)
        alice.leave()
    scenario.wait_until_finished(answer.session, 60)
    spans = collector.wait_for_spans(trace, {TOKEN_REQUEST, "teardown"} | START | SPOKEN)

    begin, heard = spans[TOKEN_REQUEST]["begin"], spans["first audio"]["end"]
    for span in sorted(spans.values(), key=lambda span: float(span["begin"])):
        print(f"{span['begin'] - begin:7.2f} s {span['end'] - span['begin']:7.3f} s  {span['service']}: {span['name']}")
    assert {span["service"] for span in spans.values()} == SERVICES
    root = spans[TOKEN_REQUEST]
    assert (root["service"], root["span"], root["parent"]) == ("voicesession-gateway", request, "")
    assert [name for name, span in spans.items() if not span["parent"]] == [TOKEN_REQUEST]
    assert spans["session start"]["parent"] == request
    assert {spans[name]["parent"] for name in ("job", "first audio", "turn", "seen", "teardown")} == {
        spans["session start"]["span"]
    }
    assert max(spans[name]["end"] for name in START) <= heard
    assert not [name for name, span in spans.items() if span["failed"]]
    assert {key for span in spans.values() for key in span["attributes"]} <= ATTRIBUTES
    exported = str([(span["name"], span["attributes"]) for span in spans.values()])
    assert not [word for word in ("alice", "favorite", "color", "blue", "eyJ") if word in exported]


def test_missing_collector_does_not_delay_sessions(collector: Collector, scenario: Scenario) -> None:
    scenario.kube.delete("pod", COLLECTOR, collector.namespace, "--force", "--grace-period=0")
    for name in ("one", "two"):
        scenario.start_session(name)
    leader = operator_pods.leader(scenario.kube)["metadata"]["name"]
    lost = "spans are lost"
    until(lambda: lost in scenario.kube.logs(leader, constants.NAMESPACE), "the operator's log reports lost spans", 60)
    assert scenario.kube.logs(leader, constants.NAMESPACE).count(lost) == 1
    assert operator_pods.all_ready(scenario.kube)


def _token(collector: Collector, scenario: Scenario, folder: Path) -> Answer:
    """Request a token from a gateway that ends and sends its spans before this function returns."""
    with scenario.kube.forwarded(f"pod/{COLLECTOR}", collector.namespace, PORT) as port:
        sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "POD_NAME": "gateway-of-this-test"}
        with replica(scenario.kube, scenario.livekit, scenario.namespace, folder, **sends) as client:
            until(lambda: client.lists_agent("agent-66"), "the gateway lists the agent", LISTED_SECONDS)
            answer = client.token("agent-66", participant_identity="alice")
    assert answer.status == 201, answer.body
    return answer


def _request_context(session: Session) -> tuple[str, str]:
    """Return trace and span of the request that created the session, from its traceparent."""
    _, trace, span, flags = session.raw["metadata"]["annotations"][TRACEPARENT_ANNOTATION].split("-")
    assert int(flags, 16) & SAMPLED
    return trace, span


def _upgrade(kube: Kube, *values: str) -> None:
    before = {pod["metadata"]["uid"] for pod in operator_pods.pods(kube)}
    settings = [option for value in values for option in ("--set", value)]
    helm("upgrade", constants.RELEASE, str(constants.CHART), "--reuse-values", *settings)

    def replaced() -> bool:
        return operator_pods.all_ready(kube) and before.isdisjoint(
            p["metadata"]["uid"] for p in operator_pods.pods(kube)
        )

    until(replaced, "two new operators", ROLLOUT_SECONDS)


def _pod(namespace: str) -> Json:
    program = Path(otlp_receiver.__file__).read_text()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": COLLECTOR, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": COLLECTOR,
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-u", "-c", program, str(PORT)],
                    "ports": [{"containerPort": PORT}],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                }
            ],
        },
    }
