"""Clients of external systems: LiveKit, Letta, agent pods and Kubernetes events."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from voicesession_common.kube_client import KubeClient, load_configuration
from voicesession_common.tracing import Tracing

from voicesession_operator import metrics
from voicesession_operator.clients.agent_pod import AgentPodClient
from voicesession_operator.clients.letta import LettaDirectory
from voicesession_operator.clients.livekit import RoomService
from voicesession_operator.settings import OperatorSettings

SERVICE: Final = "voicesession-operator"
"""Service name of the operator's spans."""


@dataclass(frozen=True)
class ExternalSystems:
    """Clients of one replica. Their creator closes them."""

    kube: KubeClient
    rooms: RoomService
    pods: AgentPodClient
    letta: LettaDirectory
    tracing: Tracing


async def connect(settings: OperatorSettings, control_key: Ed25519PrivateKey, stack: AsyncExitStack) -> ExternalSystems:
    """Create all clients; `stack` closes them, the last one first."""
    kube = KubeClient(await load_configuration(settings.kubeconfig), metrics.observe_kubernetes_request)
    stack.push_async_callback(kube.close)
    rooms = RoomService(settings.livekit_url, settings.livekit_api_key, settings.livekit_api_secret)
    stack.push_async_callback(rooms.close)
    pods = AgentPodClient(control_key, time.time)
    stack.push_async_callback(pods.close)
    letta = LettaDirectory(
        settings.letta_url,
        settings.letta_api_key,
        settings.letta_model,
        settings.letta_embedding,
        settings.installation_id,
        allow_untagged=settings.letta_allow_untagged,
    )
    stack.push_async_callback(letta.close)
    tracing = Tracing.connect(SERVICE, settings.pod_name, settings.otlp_endpoint, settings.trace_ratio)
    stack.push_async_callback(tracing.close)
    return ExternalSystems(kube, rooms, pods, letta, tracing)
