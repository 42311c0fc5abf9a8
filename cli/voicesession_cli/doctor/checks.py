"""The checks of an installation, one after the other."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from voicesession_cli import output as times
from voicesession_cli.arguments import Doctor
from voicesession_cli.doctor import installation as rights
from voicesession_cli.doctor import probes as asking
from voicesession_cli.doctor import probes as tunnel
from voicesession_cli.doctor import verdicts as judging
from voicesession_cli.doctor.installation import Installation, find
from voicesession_cli.doctor.livekit_config import HOOK, livekit_config, running_config
from voicesession_cli.doctor.verdicts import State, Verdict, failed, ok, skipped
from voicesession_cli.errors import TROUBLE, CommandError, ForbiddenError
from voicesession_cli.kube_client import AGENT_PODS, CONFIG_MAPS, LEASES, PODS, STATEFUL_SETS, Api, path
from voicesession_cli.output import columns

Json = dict[str, Any]
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
IN_CLUSTER: Final = re.compile(
    r"^\w+://(?P<service>[\w-]+)\.(?P<namespace>[\w-]+)\.svc(\.cluster\.local)?:(?P<port>\d+)$"
)
MORE_RIGHTS: Final = "run the doctor as somebody who may"
LOGS: Final = "kubectl logs deployment/{name} -n {namespace}"


def doctor(options: Doctor) -> int:
    """Returns 1 where anything is wrong, else 0. Raises CommandError where the API server cannot be asked."""
    api = Api(options.context)
    verdicts = list(_checked(api, options.operator_namespace or ""))
    if options.json_output:
        print(json.dumps([vars(verdict) for verdict in verdicts], indent=2))
    else:
        print(
            *columns([(v.state, v.check, v.message + (f"; mend: {v.mend}" if v.mend else "")) for v in verdicts]),
            sep="\n",
        )
    return TROUBLE if any(verdict.state == State.FAILED for verdict in verdicts) else 0


def _checked(api: Api, namespace: str) -> Iterator[Verdict]:
    for name in judging.DEFINITIONS:
        yield _definition(api, name)
    try:
        place = find(api, namespace)
    except CommandError as error:
        yield failed("operator", str(error), _mend(error, "install the chart, or say --operator-namespace"))
        return
    checks: dict[str, Callable[[Installation], Iterator[Verdict]]] = {
        "operator": _operator,
        "RBAC": _access,
        "LiveKit": _livekit,
        "webhook delivery": _webhook,
        "gateway": _gateway,
        "Letta": _letta,
        "Postgres": _postgres,
        "images": _images,
    }
    for name, check in checks.items():
        try:
            yield from check(place)
        except CommandError as error:
            yield failed(name, str(error), _mend(error, "see that it runs: kubectl get pods -n " + place.namespace))


def _definition(api: Api, name: str) -> Verdict:
    try:
        return judging.definition(name, api.find(name, path(CRDS, "", name)))
    except ForbiddenError as error:
        return failed(f"definition {name}", str(error), MORE_RIGHTS)


def _mend(error: CommandError, otherwise: str) -> str:
    return MORE_RIGHTS if isinstance(error, ForbiddenError) else otherwise


def _operator(place: Installation) -> Iterator[Verdict]:
    yield judging.workload("operator", place.operator)
    name = f"{place.variable('RELEASE')}-voicesession-operator"
    lease = place.api.find(f"lease {name}", path(LEASES, place.namespace, name))
    yield judging.lease(lease, {pod["metadata"]["name"] for pod in place.pods(place.operator)}, times.now())


def _access(place: Installation) -> Iterator[Verdict]:
    namespaces = [name for name in place.variable("WATCH_NAMESPACES").split(",") if name] or [""]
    asked = [(namespace, rule) for namespace in namespaces for rule in judging.RULES]
    asked += [(place.namespace, rule) for rule in judging.LEADER_RULES]
    yield judging.access("RBAC", "operator", rights.denied(place, place.operator, asked))


def _gateway(place: Installation) -> Iterator[Verdict]:
    own = place.deployment("gateway")
    if own is None:
        yield skipped("gateway", "this installation has none")
        return
    yield judging.workload("gateway", own)
    asked = [(place.variable("NAMESPACE", own), rule) for rule in judging.GATEWAY_RULES]
    yield judging.access("gateway RBAC", "gateway", rights.denied(place, own, asked))


def _livekit(place: Installation) -> Iterator[Verdict]:
    name, own = f"{place.prefix}-livekit", place.deployment("livekit")
    key, secret = place.variable("LIVEKIT_API_KEY"), place.variable("LIVEKIT_API_SECRET")
    url = place.variable("LIVEKIT_URL").rstrip("/")
    if own is None:
        yield skipped("LiveKit configuration", f"{url} is not of this chart")
    else:
        yield judging.workload("LiveKit", own)
        config_map = place.api.get(f"config map {name}", path(CONFIG_MAPS, place.namespace, name))
        hook = f"{place.prefix}-operator-webhook"
        yield from livekit_config(config_map["data"]["config.yaml"], hook, place.namespace)
        yield running_config(config_map, place.pods(own))
    try:
        with _reached(place, url.replace("ws", "http", 1)) as local:
            yield judging.livekit_key(asking.list_rooms(local, key, secret))
    except CommandError as error:
        outside = "from here: " if own is None else ""
        yield (
            skipped("LiveKit key", f"{outside}{error}")
            if own is None
            else failed("LiveKit key", str(error), LOGS.format(name=name, namespace=place.namespace))
        )


def _webhook(place: Installation) -> Iterator[Verdict]:
    """Signed with LiveKit's own key where it is known, which need not be the operator's."""
    own = place.deployment("livekit")
    names = ("API_KEY", "API_SECRET") if own else ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    key, secret = (place.variable(variable, own) for variable in names)
    with tunnel.forwarded(place.api.context, f"{place.prefix}-operator-webhook", place.namespace, 8080) as port:
        yield judging.webhook_delivery(*asking.deliver(f"http://127.0.0.1:{port}{HOOK}", key, secret))


def _letta(place: Installation) -> Iterator[Verdict]:
    url, name = place.variable("LETTA_URL").rstrip("/"), f"{place.prefix}-letta"
    if not url:
        yield skipped("Letta", "this installation has no memory")
        return
    try:
        with _reached(place, url) as local:
            yield judging.letta(asking.list_agents(local, place.variable("LETTA_API_KEY")))
    except CommandError as error:
        own = place.deployment("letta")
        if own is None:
            yield skipped("Letta", f"from here: {error}")
            return
        state = judging.workload("Letta", own)
        mend = LOGS.format(name=name, namespace=place.namespace)
        yield state if state.state == State.FAILED else failed("Letta", str(error), mend)


def _postgres(place: Installation) -> Iterator[Verdict]:
    name = f"{place.prefix}-postgres"
    own = place.api.find(f"statefulset {name}", path(STATEFUL_SETS, place.namespace, name))
    if own is None:
        yield skipped("Postgres", "is not of this chart")
        return
    verdict = judging.workload("Postgres", {"kind": "StatefulSet", **own})
    if verdict.state == State.OK:
        tunnel.run(
            place.api.context, place.namespace, f"{name}-0", "psql", "-U", "letta", "-d", "letta", "-c", "SELECT 1"
        )
        verdict = ok("Postgres", "answers a query")
    yield verdict


def _images(place: Installation) -> Iterator[Verdict]:
    pods = place.api.items("pods", path(PODS, place.namespace))
    agents = place.api.items("agent pods", path(PODS), labelSelector=AGENT_PODS)
    yield judging.images([*pods, *agents])


@contextmanager
def _reached(place: Installation, url: str) -> Iterator[str]:
    """The same server as seen from here: through kubectl where the URL names a Service of the cluster."""
    inside = IN_CLUSTER.match(url)
    if inside is None:
        yield url
        return
    with tunnel.forwarded(place.api.context, inside["service"], inside["namespace"], int(inside["port"])) as port:
        yield f"http://127.0.0.1:{port}"
