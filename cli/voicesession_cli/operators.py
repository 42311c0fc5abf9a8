"""The operators of a cluster, whatever their release is called and wherever it is."""

from typing import Any, Final

SELECTOR: Final = "app.kubernetes.io/component=operator"
PROGRAM: Final = "voicesession_operator"


def is_operator(pod_spec: dict[str, Any]) -> bool:
    """Many projects label an operator as one; this one runs our program."""
    return any(PROGRAM in (container.get("command") or ()) for container in pod_spec["containers"])
