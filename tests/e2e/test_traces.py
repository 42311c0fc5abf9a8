"""Traces with a real collector: one of them leads from the request for a token to what the person heard first."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from voicesession_common.api.constants import TRACEPARENT_ANNOTATION
from voicesession_common.tracing import TOKEN_REQUEST

from hack.cluster import constants, release
from tests.support.cluster import operator_pods
from tests.support.cluster.gateway import Answer, replica
from tests.support.cluster.helm import helm
from tests.support.cluster.kubectl import Json, Kube, Session
from tests.support.cluster.manifests import copy_of
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Trial
from tests.support.observability import otlp_receiver
from tests.support.observability.otlp_receiver import PORT
from tests.support.participants.speaker import Guest
from tests.support.participants.spoken_turns import REMEMBER
from tests.support.polling import until

pytestmark = [pytest.mark.cluster, pytest.mark.speech, pytest.mark.disruptive, pytest.mark.timeout(900)]

COLLECTOR = "collector"
SAMPLED = 1
"""W3C's flag of a trace that is kept."""
IMAGE = f"voicesession/operator:{constants.VERSION}"
"""Has what the collector needs."""
UP_SECONDS = 60
ROLLOUT_SECONDS = 180
SENT_SECONDS = 30
"""Batches are of 2 s; a busy machine."""
KNOWN_SECONDS = 20
LIMITS = {"startSeconds": 180, "joinSeconds": 600}
LEAVING = {"graceSeconds": 1, "reconnectGraceSeconds": 2}
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
    kube: Kube
    namespace: str

    def address(self) -> str:
        pod = self.kube.get("pod", COLLECTOR, self.namespace)
        assert pod, "no collector"
        return f"http://{pod['status']['podIP']}:{PORT}"

    def spans(self, trace: str) -> dict[str, Json]:
        """Those of one trace by name; of several with one name the first that came."""
        text = self.kube.run("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{COLLECTOR}:{PORT}/proxy/spans")
        return {span["name"]: span for span in reversed(json.loads(text)) if span["trace"] == trace}

    def with_all(self, trace: str, wanted: set[str]) -> dict[str, Json]:
        def check() -> dict[str, Json] | None:
            found = self.spans(trace)
            return found if wanted <= found.keys() else None

        try:
            return until(check, f"spans {sorted(wanted)}", SENT_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}; there are: {sorted(self.spans(trace))}") from None


@pytest.fixture(scope="module")
def collector(kube: Kube, livekit: LiveKit) -> Iterator[Collector]:
    """With a release that sends its spans there."""
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


def test_one_trace_leads_from_the_token_request_to_the_first_audio(
    collector: Collector, trial: Trial, agent_66: Json, tmp_path: Path
) -> None:
    trial.kube.apply(copy_of(agent_66, "agent-66", trial.namespace, limits=LIMITS, onLastHumanLeft=LEAVING))
    trial.kube.wait("voiceagent/agent-66", "condition=Ready", trial.namespace, 120)
    asked = _token(collector, trial, tmp_path)
    session = trial.session(asked.session)
    trace, request = _place(session)
    with Guest(trial.livekit, session) as alice:
        alice.come_with(asked.body["participant_token"])
        alice.meet()
        alice.greeted()
        alice.say(REMEMBER, "blue")
        collector.with_all(trace, START | SPOKEN)
        alice.leave()
    trial.finished(asked.session, 60)
    spans = collector.with_all(trace, {TOKEN_REQUEST, "teardown"} | START | SPOKEN)

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
    told = str([(span["name"], span["attributes"]) for span in spans.values()])
    assert not [word for word in ("alice", "favorite", "color", "blue", "eyJ") if word in told]


def test_a_collector_that_is_away_delays_nobody(collector: Collector, trial: Trial) -> None:
    trial.kube.delete("pod", COLLECTOR, collector.namespace, "--force", "--grace-period=0")
    for name in ("one", "two"):
        trial.ready(name)
    leader = operator_pods.leader(trial.kube)["metadata"]["name"]
    lost = "spans are lost"
    until(lambda: lost in trial.kube.logs(leader, constants.NAMESPACE), "the operator says that spans are lost", 60)
    assert trial.kube.logs(leader, constants.NAMESPACE).count(lost) == 1
    assert operator_pods.all_ready(trial.kube)


def _token(collector: Collector, trial: Trial, folder: Path) -> Answer:
    """Of a gateway that has ended by now, and sent its spans."""
    with trial.kube.forwarded(f"pod/{COLLECTOR}", collector.namespace, PORT) as port:
        sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "POD_NAME": "gateway-of-this-test"}
        with replica(trial.kube, trial.livekit, trial.namespace, folder, **sends) as people:
            until(lambda: people.knows("agent-66"), "the gateway knows the agent", KNOWN_SECONDS)
            answer = people.token("agent-66", participant_identity="alice")
    assert answer.status == 201, answer.body
    return answer


def _place(session: Session) -> tuple[str, str]:
    """Trace and span of the request that made the session, as W3C's traceparent has them."""
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

    until(replaced, "both operators anew", ROLLOUT_SECONDS)


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
