"""All checks of an installation, in their order."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from voicesession_cli import output
from voicesession_cli.arguments import DoctorArguments
from voicesession_cli.doctor import probes, results
from voicesession_cli.doctor.installation import Installation, denied_verbs, find
from voicesession_cli.doctor.livekit_config import WEBHOOK_PATH, WEBHOOK_PORT, livekit_config, running_config
from voicesession_cli.doctor.results import CheckResult, CheckState, failed, ok, skipped
from voicesession_cli.errors import EXIT_PROBLEM, CommandError, ForbiddenError
from voicesession_cli.kube_client import AGENT_PODS, CONFIG_MAPS, LEASES, PODS, STATEFUL_SETS, KubeApi, path
from voicesession_cli.output import columns

CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
IN_CLUSTER: Final = re.compile(
    r"^\w+://(?P<service>[\w-]+)\.(?P<namespace>[\w-]+)\.svc(\.cluster\.local)?:(?P<port>\d+)$"
)
MORE_PERMISSIONS: Final = "run the doctor with a user that has the permission"
LOGS: Final = "kubectl logs deployment/{name} -n {namespace}"


def doctor(arguments: DoctorArguments) -> int:
    """Print all results; return 1 if a check failed, else 0. Raises CommandError without an API server."""
    api = KubeApi(arguments.context)
    found = list(_run_checks(api, arguments.operator_namespace or ""))
    if arguments.json_output:
        print(json.dumps([vars(result) for result in found], indent=2))
    else:
        rows = [(r.state, r.check, r.message + (f"; fix: {r.fix}" if r.fix else "")) for r in found]
        print(*columns(rows), sep="\n")
    return EXIT_PROBLEM if any(result.state == CheckState.FAILED for result in found) else 0


def _run_checks(api: KubeApi, namespace: str) -> Iterator[CheckResult]:
    for name in results.DEFINITIONS:
        yield _definition(api, name)
    try:
        installation = find(api, namespace)
    except CommandError as error:
        yield failed("operator", str(error), _fix(error, "install the chart, or set --operator-namespace"))
        return
    checks: dict[str, Callable[[Installation], Iterator[CheckResult]]] = {
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
            yield from check(installation)
        except CommandError as error:
            running = f"check that it is running: kubectl get pods -n {installation.namespace}"
            yield failed(name, str(error), _fix(error, running))


def _definition(api: KubeApi, name: str) -> CheckResult:
    try:
        return results.definition(name, api.find(name, path(CRDS, "", name)))
    except ForbiddenError as error:
        return failed(f"definition {name}", str(error), MORE_PERMISSIONS)


def _fix(error: CommandError, otherwise: str) -> str:
    return MORE_PERMISSIONS if isinstance(error, ForbiddenError) else otherwise


def _operator(installation: Installation) -> Iterator[CheckResult]:
    yield results.workload("operator", installation.operator)
    name = f"{installation.variable('RELEASE')}-voicesession-operator"
    lease = installation.api.find(f"lease {name}", path(LEASES, installation.namespace, name))
    pods = {pod["metadata"]["name"] for pod in installation.pods(installation.operator)}
    yield results.lease(lease, pods, output.now())


def _access(installation: Installation) -> Iterator[CheckResult]:
    namespaces = [name for name in installation.variable("WATCH_NAMESPACES").split(",") if name] or [""]
    rules = [(namespace, rule) for namespace in namespaces for rule in results.RULES]
    rules += [(installation.namespace, rule) for rule in results.LEADER_RULES]
    yield results.access("RBAC", "operator", denied_verbs(installation, installation.operator, rules))


def _gateway(installation: Installation) -> Iterator[CheckResult]:
    gateway = installation.deployment("gateway")
    if gateway is None:
        yield skipped("gateway", "this installation has none")
        return
    yield results.workload("gateway", gateway)
    rules = [(installation.variable("NAMESPACE", gateway), rule) for rule in results.GATEWAY_RULES]
    yield results.access("gateway RBAC", "gateway", denied_verbs(installation, gateway, rules))


def _livekit(installation: Installation) -> Iterator[CheckResult]:
    name, livekit = f"{installation.prefix}-livekit", installation.deployment("livekit")
    key, secret = installation.variable("LIVEKIT_API_KEY"), installation.variable("LIVEKIT_API_SECRET")
    url = installation.variable("LIVEKIT_URL").rstrip("/")
    if livekit is None:
        yield skipped("LiveKit configuration", f"{url} is an external server")
    else:
        yield results.workload("LiveKit", livekit)
        config_map = installation.api.get(f"config map {name}", path(CONFIG_MAPS, installation.namespace, name))
        service = f"{installation.prefix}-operator-webhook"
        yield from livekit_config(config_map["data"]["config.yaml"], service, installation.namespace)
        yield running_config(config_map, installation.pods(livekit))
    try:
        with _reachable(installation, url.replace("ws", "http", 1)) as local:
            yield results.livekit_key(probes.list_rooms_status(local, key, secret))
    except CommandError as error:
        if livekit is None:
            yield skipped("LiveKit key", f"from here: {error}")
        else:
            yield failed("LiveKit key", str(error), LOGS.format(name=name, namespace=installation.namespace))


def _webhook(installation: Installation) -> Iterator[CheckResult]:
    """Deliver an event, signed with LiveKit's own key if it is known; the operator's key may differ."""
    livekit = installation.deployment("livekit")
    names = ("API_KEY", "API_SECRET") if livekit else ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    key, secret = (installation.variable(variable, livekit) for variable in names)
    service = f"{installation.prefix}-operator-webhook"
    with probes.port_forward(installation.api.context, service, installation.namespace, WEBHOOK_PORT) as port:
        yield results.webhook_delivery(*probes.deliver_webhook(f"http://127.0.0.1:{port}{WEBHOOK_PATH}", key, secret))


def _letta(installation: Installation) -> Iterator[CheckResult]:
    url, name = installation.variable("LETTA_URL").rstrip("/"), f"{installation.prefix}-letta"
    if not url:
        yield skipped("Letta", "this installation has no memory")
        return
    try:
        with _reachable(installation, url) as local:
            yield results.letta(probes.list_agents_status(local, installation.variable("LETTA_API_KEY")))
    except CommandError as error:
        letta = installation.deployment("letta")
        if letta is None:
            yield skipped("Letta", f"from here: {error}")
            return
        pods = results.workload("Letta", letta)
        logs = LOGS.format(name=name, namespace=installation.namespace)
        yield pods if pods.state == CheckState.FAILED else failed("Letta", str(error), logs)


def _postgres(installation: Installation) -> Iterator[CheckResult]:
    name = f"{installation.prefix}-postgres"
    postgres = installation.api.find(f"statefulset {name}", path(STATEFUL_SETS, installation.namespace, name))
    if postgres is None:
        yield skipped("Postgres", "not part of this release")
        return
    result = results.workload("Postgres", {"kind": "StatefulSet", **postgres})
    if result.state == CheckState.OK:
        query = ("psql", "-U", "letta", "-d", "letta", "-c", "SELECT 1")
        probes.execute(installation.api.context, installation.namespace, f"{name}-0", *query)
        result = ok("Postgres", "answers a query")
    yield result


def _images(installation: Installation) -> Iterator[CheckResult]:
    pods = installation.api.items("pods", path(PODS, installation.namespace))
    agents = installation.api.items("agent pods", path(PODS), labelSelector=AGENT_PODS)
    yield results.images([*pods, *agents])


@contextmanager
def _reachable(installation: Installation, url: str) -> Iterator[str]:
    """Yield the server's URL from this machine; a Service of the cluster is reached through kubectl."""
    inside = IN_CLUSTER.match(url)
    if inside is None:
        yield url
        return
    context, port = installation.api.context, int(inside["port"])
    with probes.port_forward(context, inside["service"], inside["namespace"], port) as local_port:
        yield f"http://127.0.0.1:{local_port}"
