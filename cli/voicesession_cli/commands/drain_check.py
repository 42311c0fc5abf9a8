"""`kubectl voice drain-check NODE`: the calls that draining a node would interrupt."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject
from voicesession_common.api.constants import COMPONENT_LABEL, SESSION_UID_LABEL

from voicesession_cli.arguments import DrainCheckArguments
from voicesession_cli.errors import EXIT_PROBLEM
from voicesession_cli.kube_client import AGENT_PODS, PODS, SESSIONS, KubeApi, path
from voicesession_cli.output import columns
from voicesession_cli.session_row import SessionRow

LIVEKIT_PODS: Final = f"{COMPONENT_LABEL}=livekit"
NODES: Final = "/api/v1/nodes"
HEADER: Final = ("NAMESPACE", "NAME", "PHASE", "HUMANS", "POD")


@dataclass(frozen=True)
class PodOnNode:
    """An agent pod on the node, with its session."""

    session: SessionRow
    pod: str

    @property
    def row(self) -> tuple[str, ...]:
        return (self.session.namespace, self.session.name, self.session.phase, str(self.session.humans), self.pod)

    def render(self) -> JsonObject:
        """Return the call for JSON output."""
        return dict(
            zip(
                ("namespace", "name", "phase", "humans", "pod"),
                (*self.row[:3], self.session.humans, self.pod),
                strict=True,
            )
        )


def active_pods(pods: Iterable[JsonObject], sessions: Iterable[JsonObject]) -> list[PodOnNode]:
    """Return the pods of unfinished sessions, most humans first; pods in deletion do not count."""
    by_uid = {raw["metadata"]["uid"]: SessionRow.parse(raw) for raw in sessions}
    active = []
    for pod in pods:
        meta = pod["metadata"]
        session = by_uid.get(meta.get("labels", {}).get(SESSION_UID_LABEL, ""))
        if session is not None and not session.is_finished and "deletionTimestamp" not in meta:
            active.append(PodOnNode(session, meta["name"]))
    return sorted(active, key=lambda call: (-call.session.humans, call.session.namespace, call.session.name))


@dataclass(frozen=True)
class NodeLoad:
    """The calls on a node.

    `livekit` lists the node's LiveKit servers as `namespace/pod`; `sessions` are all unfinished sessions of the
    cluster, which depend on them.
    """

    node: str
    calls: list[PodOnNode]
    livekit: list[str]
    sessions: list[SessionRow]

    @property
    def can_drain(self) -> bool:
        return not self.calls and not (self.livekit and self.sessions)

    def render(self) -> JsonObject:
        """Return the load for JSON output."""
        cut_off = {"calls": len(self.sessions), "humans": sum(session.humans for session in self.sessions)}
        return {
            "node": self.node,
            "humans": self._humans,
            "calls": [call.render() for call in self.calls],
            "livekit": self.livekit,
            "cutOffWithLiveKit": cut_off if self.livekit else None,
        }

    def lines(self) -> list[str]:
        """Return the load as text."""
        table = columns([HEADER, *(call.row for call in self.calls)]) if self.calls else []
        summary = f"{len(self.calls)} call(s) with {self._humans} human(s)" if self.calls else "no call"
        return [*table, f"{self.node} runs {summary}", *(self._livekit_line(server) for server in self.livekit)]

    @property
    def _humans(self) -> int:
        return sum(call.session.humans for call in self.calls)

    def _livekit_line(self, server: str) -> str:
        humans = sum(session.humans for session in self.sessions)
        effect = f"all {len(self.sessions)} call(s) with {humans} human(s)" if self.sessions else "no call"
        return f"{self.node} runs LiveKit ({server}): draining it interrupts {effect}"


def drain_check(arguments: DrainCheckArguments) -> int:
    """Print the load of a node; return 1 if draining it would interrupt calls, else 0.

    Raises CommandError, also for a node that does not exist.
    """
    api = KubeApi(arguments.context)
    api.get(f"node {arguments.node}", path(NODES, "", arguments.node))
    pods = _pods_on(api, arguments.node, "agent pods", AGENT_PODS)
    servers = _pods_on(api, arguments.node, "LiveKit pods", LIVEKIT_PODS)
    sessions = api.items("voicesessions", path(SESSIONS))
    running = [pod["metadata"] for pod in servers if "deletionTimestamp" not in pod["metadata"]]
    load = NodeLoad(
        arguments.node,
        active_pods(pods, sessions),
        [f"{meta['namespace']}/{meta['name']}" for meta in running],
        [session for session in map(SessionRow.parse, sessions) if not session.is_finished],
    )
    print(json.dumps(load.render(), indent=2) if arguments.json_output else "\n".join(load.lines()))
    return 0 if load.can_drain else EXIT_PROBLEM


def _pods_on(api: KubeApi, node: str, label: str, selector: str) -> list[JsonObject]:
    return api.items(label, path(PODS), labelSelector=selector, fieldSelector=f"spec.nodeName={node}")
