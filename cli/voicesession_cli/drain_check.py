"""`kubectl voice drain-check NODE`: which calls would lose their agent if the node were drained now."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli.api import PODS, SESSION_UID, SESSIONS, Api, path
from voicesession_cli.errors import TROUBLE
from voicesession_cli.options import DrainCheck
from voicesession_cli.sight import Sight
from voicesession_cli.table import columns

Json = dict[str, Any]
AGENT_PODS: Final = "app.kubernetes.io/managed-by=voicesession-operator,app.kubernetes.io/component=agent-pod"
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


def drain_check(options: DrainCheck) -> int:
    """Returns 1 where the node holds calls, else 0. Raises CommandError, also for a node that does not exist."""
    api = Api(options.context)
    api.get(f"node {options.node}", path(NODES, "", options.node))
    on_node = {"labelSelector": AGENT_PODS, "fieldSelector": f"spec.nodeName={options.node}"}
    pods = api.items("agent pods", path(PODS), **on_node)
    calls = held(pods, api.items("voicesessions", path(SESSIONS)))
    humans = sum(call.session.humans for call in calls)
    if options.json_output:
        told = {"node": options.node, "humans": humans, "calls": [call.render() for call in calls]}
        print(json.dumps(told, indent=2))
    elif calls:
        print(*columns([HEADER, *(call.row for call in calls)]), sep="\n")
        print(f"{options.node} holds {len(calls)} call(s) with {humans} human(s)")
    else:
        print(f"{options.node} holds no call")
    return TROUBLE if calls else 0
