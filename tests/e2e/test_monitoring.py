"""A real Prometheus with the chart's monitors and alerts: scrapes, alerts caused by real faults, data in panels.

The tests run in order and share a namespace; the last ones check the data of all the others. Alerts have windows of a
minute and fire after seconds, so that faults can be short; the thresholds are the chart's.
"""

import os
import secrets
import time
import urllib.request
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from statistics import mean

import pytest

from hack.cluster import constants
from hack.dashboards.__main__ import DASHBOARDS
from tests.bench import dashboard_images
from tests.support.cluster import faults, manifests, nodes, operator_pods, slow_proxy, webhooks
from tests.support.cluster.kubectl import Json, Kube
from tests.support.cluster.manifests import RESET, copy_of, faulty_agent
from tests.support.cluster.rooms import LiveKit
from tests.support.cluster.scenario import Scenario
from tests.support.observability import monitoring_faults, prometheus, scrape_config, service_discovery
from tests.support.observability.prometheus import Prometheus
from tests.support.participants.speaker import Speaker
from tests.support.participants.spoken_turns import ASK
from tests.support.polling import settles, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.speech, pytest.mark.timeout(600)]

WINDOW, HELD = "60s", "3s"
"""Window of the alerts, and duration until they fire."""
LONG = "1h"
"""Window of the dashboards: all tests of this module."""
SEEN_SECONDS = 30
"""From a fault to its alert: one scrape and two evaluations on a busy machine."""
QUIET_SECONDS = 150
"""Time until no window contains data of earlier tests."""
CALM_SECONDS = 20
"""Several evaluations of all rules, each with new samples."""
MODEL_SECONDS = 4
BUSY_SECONDS = 5
"""Difference between the measurements of agent and human on a busy machine."""
LATE_SECONDS = 36
"""More than the 30 s of a slow start, plus the resolution of creation times (1 s)."""
WEBHOOK_SECONDS = 30
"""The operator counts a webhook as lost after this time."""
QUEUE_SECONDS = 60
LOST_TURNS = 300
"""256 turns are queued, the others are dropped."""
WAITING_AGENTS = 40
"""With two workers and a timeout of 5 s for Letta, the last agent waits for 100 s."""
LATE_WEBHOOKS = 50
REFUSALS = 20
NO_AGENT = "agent-00000000-0000-4000-8000-000000000000"
IMAGES = "DASHBOARD_IMAGES"
"""Environment variable with the folder for pictures of the dashboards; by default they are discarded."""


@pytest.fixture(scope="module")
def server(kube: Kube, livekit: LiveKit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Run a Prometheus for the module."""
    folder = tmp_path_factory.mktemp("prometheus")
    pods, rules = folder / "pods.json", scrape_config.rules(WINDOW, HELD)
    monitors, api = scrape_config.rendered("PodMonitor"), scrape_config.api_server(kube, folder)
    configs = scrape_config.scrape_configs(monitors, api, pods)
    with service_discovery.updated(pods), prometheus.running(configs, rules, folder) as found:
        yield found


@pytest.fixture(scope="module")
def scenario(kube: Kube, livekit: LiveKit) -> Iterator[Scenario]:
    """Return a scenario for the whole module."""
    namespace = f"monitoring-{secrets.token_hex(3)}"
    kube.run("create", "namespace", namespace)
    made = Scenario(kube, livekit, namespace)
    made.apply_fake_agent()
    yield made
    made.close()
    kube.run("delete", "namespace", namespace, "--wait=false")


def test_monitors_scrape_all_selected_pods(server: Prometheus, scenario: Scenario) -> None:
    session = scenario.start_session("steady", join=3600)

    agent = until(lambda: server.query(f'up{{pod="{session.pod}"}} == 1'), "the agent is scraped", SEEN_SECONDS)

    assert [found["metric"]["voiceagent"] for found in agent] == ["fake"]
    assert {found["metric"]["endpoint"] for found in agent} == {"metrics"}
    replicas = {pod["metadata"]["name"] for pod in operator_pods.pods(scenario.kube)}
    up = f'up{{job="{constants.NAMESPACE}/voicesession-operator"}} == 1'
    until(lambda: _pods(server.query(up)) == replicas, "both operators are scraped", SEEN_SECONDS)
    until(lambda: server.values("sum(voicesession_leader)") == [1.0], "one operator leads", SEEN_SECONDS)
    assert server.values(f'voicesession_agent_job_joined{{pod="{session.pod}"}}') == [1.0]


def test_healthy_installation_fires_no_alert(server: Prometheus, scenario: Scenario) -> None:
    settles(lambda: server.firing() == set(), "no alert fires", CALM_SECONDS, QUIET_SECONDS, poll=1.0)


def test_slow_answers_fire_alert(server: Prometheus, scenario: Scenario, agent_66: Json) -> None:
    model = {**agent_66["spec"]["llm"], "baseURL": f"http://{monitoring_faults.slow_model(scenario, MODEL_SECONDS)}/v1"}
    scenario.kube.apply(copy_of(agent_66, "agent-66", scenario.namespace, llm=model, onLastHumanLeft=RESET))
    scenario.kube.wait("voiceagent/agent-66", "condition=Ready", scenario.namespace, 120)
    session = scenario.start_session("call", "agent-66", grace=0, reconnect_grace=0)
    with Speaker(scenario.livekit, session) as alice:
        alice.join()
        alice.wait_for_agent()
        alice.wait_for_greeting()
        heard = [alice.say(said).latency for said in ("Test one", ASK)]
        server.wait_until_firing("VoicesessionAnswersSlow", SEEN_SECONDS)
        alice.leave()
    scenario.wait_for_reset("call", 1)

    name = "voicesession_agent_response_seconds"
    (measured,) = server.values(f'{name}_sum{{pod="{session.pod}"}} / {name}_count{{pod="{session.pod}"}}')
    print(f"end of speech to first audio: agent {measured:.2f} s, human {mean(heard):.2f} s")
    assert MODEL_SECONDS < measured < mean(heard) + BUSY_SECONDS
    stage = 'voicesession_agent_response_stage_seconds_sum{stage="llm_first_token"}'
    assert server.values(f'{stage} and {{pod="{session.pod}"}}')[0] > MODEL_SECONDS


def test_failed_and_late_starts_and_unhealthy_agent_fire_alerts(server: Prometheus, scenario: Scenario) -> None:
    scenario.apply_fake_agent("absent", FAKE_AGENT_JOIN="never")
    scenario.kube.apply(faulty_agent("stuck", scenario.namespace, "stuck"))
    began = time.monotonic()
    scenario.apply_session("late", "coming")
    scenario.apply_session("ill", "stuck", max_replacements=0)
    scenario.apply_session("failing", "absent", start=10)

    server.wait_until_firing("VoicesessionSessionFailures", 10 + SEEN_SECONDS)
    until(lambda: time.monotonic() - began > LATE_SECONDS, "late enough", LATE_SECONDS + 1, poll=0.5)
    scenario.apply_fake_agent("coming")
    server.wait_until_firing("VoicesessionStartsSlow", 2 * SEEN_SECONDS)
    unhealthy = "VoicesessionAgentUnhealthy"
    until(lambda: unhealthy in server.fired_alerts(), f"{unhealthy} has fired", 4 * SEEN_SECONDS, poll=1.0)


def test_failing_and_refusing_gateway_fire_alerts(server: Prometheus, scenario: Scenario) -> None:
    with monitoring_faults.offered_agent(scenario.kube, limits={"startSeconds": 1}, FAKE_AGENT_JOIN="never") as (
        client,
        absent,
    ):
        for number in range(3):
            assert client.token(absent, participant_identity=f"{absent}-{number}").status == 504
        server.wait_until_firing("VoicesessionGatewayFailing", SEEN_SECONDS)
        for _ in range(REFUSALS):
            assert client.post("/token", {}, Origin="https://stranger.example").status == 403
        server.wait_until_firing("VoicesessionGatewayRefusing", SEEN_SECONDS)


def test_admitted_human_is_counted_by_gateway_metrics(server: Prometheus, scenario: Scenario) -> None:
    with monitoring_faults.offered_agent(scenario.kube) as (client, present):
        answer = client.token(present, participant_identity=present)
        assert answer.status == 201, answer.body
        given = 'sum(increase(voicesession_gateway_tokens_total{how="created"}[60s]))'
        until(lambda: server.values(given)[0] > 0, "the token is counted", SEEN_SECONDS, poll=1.0)
        live = "max(voicesession_gateway_live_sessions)"
        until(lambda: server.values(live)[0] > 0, "the session is counted", SEEN_SECONDS, poll=1.0)
        assert client.request("DELETE", f"/api/v1/sessions/{answer.session}").status == 204


def test_repeatedly_lost_pods_fire_alert(server: Prometheus, scenario: Scenario) -> None:
    scenario.start_session("fragile", max_replacements=10, join=3600)
    for number in (1, 2, 3):
        scenario.kube.delete("pod", scenario.session("fragile").pod, scenario.namespace, "--force", "--grace-period=0")
        until(lambda n=number: _is_replaced(scenario, "fragile", n), f"replacement {number}", 60)

    server.wait_until_firing("VoicesessionAgentsReplaced", SEEN_SECONDS)
    assert server.values('sum(increase(voicesession_agent_replacements_total{reason="PodLost"}[60s]))')[0] > 2.5


def test_pools_without_warm_pods_fire_alerts(server: Prometheus, scenario: Scenario) -> None:
    monitoring_faults.start_cold(scenario, 4)
    server.wait_until_firing("VoicesessionPoolExhausted", SEEN_SECONDS)
    server.wait_until_firing("VoicesessionPoolStuck", SEEN_SECONDS)
    monitoring_faults.start_warm(scenario)
    claims = 'sum(increase(voicesession_pool_claims_total{result="hit"}[60s]))'
    until(lambda: server.values(claims)[0] > 0, "a hit is counted", SEEN_SECONDS, poll=1.0)


def test_escalated_reset_fires_alert(server: Prometheus, scenario: Scenario) -> None:
    agent = manifests.fake_agent("resetting", scenario.namespace)
    scenario.kube.apply({**agent, "spec": {**agent["spec"], "onLastHumanLeft": RESET}})
    session = scenario.start_session("resetting", "resetting", grace=0, reconnect_grace=0)
    human = scenario.join_human("resetting")
    nodes.stop_agent_process(scenario.kube, session.pod, scenario.namespace)
    human.leave()

    server.wait_until_firing("VoicesessionResetsEscalated", 2 * SEEN_SECONDS)


def test_lost_webhooks_fire_alert(server: Prometheus, scenario: Scenario) -> None:
    with faults.webhooks_dropped(scenario.kube):
        humans = [scenario.join_human("steady", identity) for identity in ("alice", "bob")]
        until(lambda: scenario.session("steady").status["humans"] == 2, "both humans are counted", SEEN_SECONDS)
        server.wait_until_firing("VoicesessionWebhooksLost", WEBHOOK_SECONDS + SEEN_SECONDS)
    for human in humans:
        human.leave()

    assert scenario.wait_until_finished("steady", 60).end_reason == "LastHumanLeft"
    torn_down = 'sum(increase(voicesession_last_human_seconds_count{until="torn_down"}[60s]))'
    until(lambda: server.values(torn_down)[0] > 0, "the teardown is measured", 2 * SEEN_SECONDS, poll=1.0)


def test_late_webhooks_fire_alert(server: Prometheus, scenario: Scenario) -> None:
    leader = operator_pods.leader(scenario.kube)["metadata"]["name"]
    with scenario.kube.forwarded(f"pod/{leader}", constants.NAMESPACE, 8080) as port:
        for _ in range(LATE_WEBHOOKS):
            body = webhooks.event("vs-000000000000", at=time.time() - 60)
            headers = webhooks.headers(body, scenario.livekit.key)
            request = urllib.request.Request(f"http://127.0.0.1:{port}{webhooks.PATH}", body, headers)
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310  http only

    server.wait_until_firing("VoicesessionWebhooksLate", SEEN_SECONDS)


def test_memory_outage_fires_alerts(server: Prometheus, scenario: Scenario) -> None:
    """Use the session of test_slow_answers_fire_alert, which has memory."""
    pod = scenario.session("call").pod
    with faults.without(scenario.kube, "letta"):
        monitoring_faults.send_turns(scenario.kube, pod, scenario.namespace, LOST_TURNS)

        server.wait_until_firing("VoicesessionTurnsLost", SEEN_SECONDS)
        server.wait_until_firing("VoicesessionMemoryUnavailable", 2 * SEEN_SECONDS)
        assert server.values(f'voicesession_agent_capture_backlog{{pod="{pod}"}}') == [256.0]
        scenario.kube.delete("voicesession", "call", scenario.namespace)


def test_stuck_queue_fires_alert(server: Prometheus, scenario: Scenario) -> None:
    waiting = [f"waiting-{number}" for number in range(WAITING_AGENTS)]
    spec = {"pod": {"image": manifests.FAKE_IMAGE}, "memory": {"letta": {"agentID": NO_AGENT}}}
    with slow_proxy.delayed_answers(scenario.kube, "/v1/agents", seconds=30, times=1000):
        with faults.without(scenario.kube, "operator"):
            pass  # the new operator has no open connection that bypasses the proxy
        operator_pods.leader(scenario.kube, 90)
        scenario.kube.apply(*(manifests.agent(name, scenario.namespace, spec) for name in waiting))

        server.wait_until_firing("VoicesessionQueueStuck", QUEUE_SECONDS + 2 * SEEN_SECONDS)
        scenario.kube.run("delete", "voiceagents", *waiting, "-n", scenario.namespace)


def test_missing_leader_fires_alert(server: Prometheus, scenario: Scenario) -> None:
    with faults.no_leader(scenario.kube):
        server.wait_until_firing("VoicesessionNoLeader", SEEN_SECONDS)


def test_missing_operator_fires_alert(server: Prometheus, scenario: Scenario) -> None:
    with faults.without(scenario.kube, "operator"):
        server.wait_until_firing("VoicesessionOperatorDown", SEEN_SECONDS)
    operator_pods.leader(scenario.kube, 90)


def test_livekit_outage_fires_alert(server: Prometheus, scenario: Scenario) -> None:
    scenario.start_session("last", join=3600)
    with faults.without(scenario.kube, "livekit"):
        server.wait_until_firing("VoicesessionLiveKitFailing", 2 * SEEN_SECONDS)
    until(lambda: scenario.session("last").is_true("Ready"), "Ready again", 120, poll=0.5)


def test_every_alert_has_fired(server: Prometheus) -> None:
    groups = scrape_config.rules(WINDOW, HELD)["groups"]
    expected = {rule["alert"] for group in groups for rule in group["rules"]}
    assert server.fired_alerts() >= expected


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_dashboard_query_has_data(server: Prometheus, name: str) -> None:
    queries = {(panel.title, query.expr): query for panel in DASHBOARDS[name].panels for query in panel.queries}
    found = {key: server.values(dashboard_images.with_window(query, LONG)) for key, query in queries.items()}
    assert [key for key, values in found.items() if not any(map(isfinite, values))] == []


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_dashboard_panel_has_lines(server: Prometheus, name: str, tmp_path: Path) -> None:
    path, end = Path(os.environ.get(IMAGES, tmp_path)) / f"dashboard-{name}.svg", time.time()
    dashboard_images.draw(server, DASHBOARDS[name], path, server.began, end, WINDOW)
    shown = DASHBOARDS[name].panels
    assert [panel.title for panel, lines in zip(shown, dashboard_images.lines_in(path), strict=True) if not lines] == []
    moving = [panel for panel in shown if panel.title not in monitoring_faults.IDLE_PANELS]
    assert [
        panel.title for panel in moving if dashboard_images.peak(server, panel, end - server.began, WINDOW) <= 0
    ] == []


def _pods(found: list[Json]) -> set[str]:
    return {series["metric"]["pod"] for series in found}


def _is_replaced(scenario: Scenario, name: str, replacements: int) -> bool:
    found = scenario.find_session(name)
    return found is not None and found.status["replacements"] == replacements and found.is_true("Ready")
