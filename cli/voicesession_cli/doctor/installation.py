"""A release as described by its operator's Deployment: components, settings and permissions."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voicesession_common import JsonObject

from voicesession_cli.doctor.results import Rule
from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import (
    DEPLOYMENTS,
    OPERATOR_SELECTOR,
    PODS,
    SECRETS,
    KubeApi,
    is_operator,
    path,
)


@dataclass(frozen=True)
class Installation:
    """One release; `operator` is the operator's Deployment."""

    api: KubeApi
    operator: JsonObject

    @property
    def namespace(self) -> str:
        return str(self.operator["metadata"]["namespace"])

    @property
    def prefix(self) -> str:
        """Prefix of the names of all objects of the chart."""
        return str(self.operator["metadata"]["name"]).removesuffix("-operator")

    def deployment(self, component: str) -> JsonObject | None:
        """Return the chart's Deployment of a component, or None if the release has none."""
        name = f"{self.prefix}-{component}"
        raw = self.api.find(f"deployment {name}", path(DEPLOYMENTS, self.namespace, name))
        return None if raw is None else {"kind": "Deployment", **raw}

    def service_account(self, workload: JsonObject) -> str:
        """Return the user name of a workload's service account."""
        name = workload["spec"]["template"]["spec"]["serviceAccountName"]
        return f"system:serviceaccount:{self.namespace}:{name}"

    def pods(self, workload: JsonObject) -> list[JsonObject]:
        """Return the pods of a Deployment or StatefulSet."""
        meta, labels = workload["metadata"], workload["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self.api.items(f"pods of {meta['name']}", path(PODS, self.namespace), labelSelector=selector)

    def variable(self, name: str, workload: JsonObject | None = None) -> str:
        """Return an environment variable of the operator, or of another workload; empty if it is not set.

        Raises CommandError if the variable refers to a missing Secret.
        """
        for container in (workload or self.operator)["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env") or ():
                if variable["name"] == name:
                    return self._value(variable)
        return ""

    def _value(self, variable: JsonObject) -> str:
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference is None:
            return str(variable.get("value") or "")
        label = f"secret {self.namespace}/{reference['name']}"
        data = self.api.get(label, path(SECRETS, self.namespace, reference["name"])).get("data") or {}
        if reference["key"] not in data:
            raise CommandError(f"{label} has no key {reference['key']}")
        return base64.b64decode(data[reference["key"]]).decode()


def find(api: KubeApi, namespace: str) -> Installation:
    """Return the only installation of a namespace, or of the cluster. Raises CommandError unless there is exactly one.

    An empty namespace means the whole cluster.
    """
    labeled = api.items("deployments", path(DEPLOYMENTS, namespace), labelSelector=OPERATOR_SELECTOR)
    operators = [raw for raw in labeled if is_operator(raw["spec"]["template"]["spec"])]
    if len(operators) != 1:
        namespaces = ", ".join(raw["metadata"]["namespace"] for raw in operators) or "in no namespace"
        raise CommandError(f"need one operator, found {len(operators)} ({namespaces})")
    return Installation(api, {"kind": "Deployment", **operators[0]})


REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def denied_verbs(installation: Installation, workload: JsonObject, rules: Iterable[tuple[str, Rule]]) -> list[str]:
    """Return the verbs and resources that a workload's service account may not use.

    `rules` holds pairs of a namespace and a rule; an empty namespace means all namespaces.
    """
    denied = []
    for namespace, (group, resource, subresource, verbs) in rules:
        for verb in verbs:
            attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
            if not _is_allowed(installation, workload, {"namespace": namespace, **attributes}):
                denied.append(f"{verb} {resource}{'/' + subresource if subresource else ''}")
    return denied


def _is_allowed(installation: Installation, workload: JsonObject, attributes: JsonObject) -> bool:
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{installation.namespace}", "system:authenticated"]
    spec = {"user": installation.service_account(workload), "groups": groups, "resourceAttributes": attributes}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(installation.api.create("an access review", REVIEWS, body)["status"]["allowed"])
