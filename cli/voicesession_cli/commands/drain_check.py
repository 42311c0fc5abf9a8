"""`kubectl voice drain-check NODE`: which calls would lose their agent, or LiveKit, if the node were drained now."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli.arguments import DrainCheck
from voicesession_cli.errors import TROUBLE
from voicesession_cli.kube_client import AGENT_PODS, PODS, SESSION_UID, SESSIONS, Api, path
from voicesession_cli.output import columns
from voicesession_cli.session_row import Sight

Json = dict[str, Any]
LIVEKIT_PODS: Final = "app.kubernetes.io/component=livekit"
NODES: Final = "/api/v1/nodes"
HEADER: Final = ("NAMESPACE", "NAME", "PHASE", "HUMANS", "POD")


@dataclass(frozen=True)
class Held:
    """A session with a pod on the node."""

    session: Sight
    pod: str

    @property
    def row(self) -> tuple[str, ...]:
        return (self.session.namespace, self.session.name, self.session.phase, str(self.session.humans), self.pod)

    def render(self) -> Json:
        return dict(
            zip(
                ("namespace", "name", "phase", "humans", "pod"),
                (*self.row[:3], self.session.humans, self.pod),
                strict=True,
            )
        )


def held(pods: Iterable[Json], sessions: Iterable[Json]) -> list[Held]:
    """Calls that are not over, those with most people first; pods that are going already hold nothing."""
    by_uid = {raw["metadata"]["uid"]: Sight.of(raw) for raw in sessions}
    found = []
    for pod in pods:
        meta = pod["metadata"]
        session = by_uid.get(meta.get("labels", {}).get(SESSION_UID, ""))
        if session is not None and not session.is_finished and "deletionTimestamp" not in meta:
            found.append(Held(session, meta["name"]))
    return sorted(found, key=lambda call: (-call.session.humans, call.session.namespace, call.session.name))


@dataclass(frozen=True)
class Burden:
    """What a node holds: `livekit` are servers as `namespace/pod`, which all `live` calls hang on."""

    node: str
    calls: list[Held]
    livekit: list[str]
    live: list[Sight]

    @property
    def is_light(self) -> bool:
        return not self.calls and not (self.livekit and self.live)

    def render(self) -> Json:
        """For programs."""
        told = {"node": self.node, "humans": self._humans, "calls": [call.render() for call in self.calls]}
        cut_off = {"calls": len(self.live), "humans": sum(session.humans for session in self.live)}
        return {**told, "livekit": self.livekit, "cutOffWithLiveKit": cut_off if self.livekit else None}

    def lines(self) -> list[str]:
        """For people."""
        table = columns([HEADER, *(call.row for call in self.calls)]) if self.calls else []
        held_here = f"{len(self.calls)} call(s) with {self._humans} human(s)" if self.calls else "no call"
        return [*table, f"{self.node} holds {held_here}", *(self._cut_off(server) for server in self.livekit)]

    @property
    def _humans(self) -> int:
        return sum(call.session.humans for call in self.calls)

    def _cut_off(self, server: str) -> str:
        humans = sum(session.humans for session in self.live)
        lost = f"cuts off all {len(self.live)} call(s) with {humans} human(s)" if self.live else "cuts off no call"
        return f"{self.node} holds LiveKit ({server}): to drain it {lost}"


def drain_check(options: DrainCheck) -> int:
    """Returns 1 where calls would suffer, else 0. Raises CommandError, also for a node that does not exist."""
    api = Api(options.context)
    api.get(f"node {options.node}", path(NODES, "", options.node))
    pods = _on(api, options.node, "agent pods", AGENT_PODS)
    servers = _on(api, options.node, "LiveKit's pods", LIVEKIT_PODS)
    sessions = api.items("voicesessions", path(SESSIONS))
    staying = [pod["metadata"] for pod in servers if "deletionTimestamp" not in pod["metadata"]]
    burden = Burden(
        options.node,
        held(pods, sessions),
        [f"{meta['namespace']}/{meta['name']}" for meta in staying],
        [session for session in map(Sight.of, sessions) if not session.is_finished],
    )
    print(json.dumps(burden.render(), indent=2) if options.json_output else "\n".join(burden.lines()))
    return 0 if burden.is_light else TROUBLE


def _on(api: Api, node: str, what: str, selector: str) -> list[Json]:
    return api.items(what, path(PODS), labelSelector=selector, fieldSelector=f"spec.nodeName={node}")
