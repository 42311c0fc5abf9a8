"""A release as its operator's Deployment tells it: where its servers are, and where their keys."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from voicesession_cli import kube_client as operators
from voicesession_cli.doctor.verdicts import Rule
from voicesession_cli.errors import CommandError
from voicesession_cli.kube_client import DEPLOYMENTS, PODS, SECRETS, Api, path

Json = dict[str, Any]


@dataclass(frozen=True)
class Installation:
    api: Api
    operator: Json

    @property
    def namespace(self) -> str:
        return str(self.operator["metadata"]["namespace"])

    @property
    def prefix(self) -> str:
        """Of the names of everything that the chart makes."""
        return str(self.operator["metadata"]["name"]).removesuffix("-operator")

    def deployment(self, component: str) -> Json | None:
        """The chart's Deployment of a component; None where the release has none."""
        name = f"{self.prefix}-{component}"
        found = self.api.find(f"deployment {name}", path(DEPLOYMENTS, self.namespace, name))
        return None if found is None else {"kind": "Deployment", **found}

    def account(self, workload: Json) -> str:
        name = workload["spec"]["template"]["spec"]["serviceAccountName"]
        return f"system:serviceaccount:{self.namespace}:{name}"

    def pods(self, workload: Json) -> list[Json]:
        """Of a Deployment or StatefulSet."""
        meta, labels = workload["metadata"], workload["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return self.api.items(f"pods of {meta['name']}", path(PODS, self.namespace), labelSelector=selector)

    def variable(self, name: str, workload: Json | None = None) -> str:
        """What a container of the operator, or of another workload, is given. Raises CommandError for lost Secrets."""
        for container in (workload or self.operator)["spec"]["template"]["spec"]["containers"]:
            for given in container.get("env") or ():
                if given["name"] == name:
                    return self._value(given)
        return ""

    def _value(self, given: Json) -> str:
        reference = (given.get("valueFrom") or {}).get("secretKeyRef")
        if reference is None:
            return str(given.get("value") or "")
        what = f"secret {self.namespace}/{reference['name']}"
        data = self.api.get(what, path(SECRETS, self.namespace, reference["name"])).get("data") or {}
        if reference["key"] not in data:
            raise CommandError(f"{what} has no key {reference['key']}")
        return base64.b64decode(data[reference["key"]]).decode()


def find(api: Api, namespace: str) -> Installation:
    """The one installation of a namespace, or of the cluster. Raises CommandError where there is none, or several."""
    labelled = api.items("deployments", path(DEPLOYMENTS, namespace), labelSelector=operators.SELECTOR)
    found = [raw for raw in labelled if operators.is_operator(raw["spec"]["template"]["spec"])]
    if len(found) != 1:
        places = ", ".join(raw["metadata"]["namespace"] for raw in found) or "nowhere"
        raise CommandError(f"need one operator, found {len(found)} ({places})")
    return Installation(api, {"kind": "Deployment", **found[0]})


REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def denied(place: Installation, workload: Json, asked: Iterable[tuple[str, Rule]]) -> list[str]:
    """Verbs and resources that are refused; `asked` are namespaces ("": all of them) with rules there."""
    found = []
    for namespace, (group, resource, sub, verbs) in asked:
        for verb in verbs:
            attributes = {"group": group, "resource": resource, "subresource": sub, "verb": verb}
            if not _may(place, workload, {"namespace": namespace, **attributes}):
                found.append(f"{verb} {resource}{'/' + sub if sub else ''}")
    return found


def _may(place: Installation, workload: Json, attributes: Json) -> bool:
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{place.namespace}", "system:authenticated"]
    spec = {"user": place.account(workload), "groups": groups, "resourceAttributes": attributes}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(place.api.create("an access review", REVIEWS, body)["status"]["allowed"])
