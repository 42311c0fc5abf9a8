"""What a workload's service account may do, as the API server judges it."""

from collections.abc import Iterable
from typing import Any, Final

from voicesession_cli.doctor.installation import Installation
from voicesession_cli.doctor.judging import Rule

Json = dict[str, Any]
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
