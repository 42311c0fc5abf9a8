"""Claims of warm pods by sessions."""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voicesession_common import JsonObject
from voicesession_common.api import constants
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_common.api.voicesession import VoiceSession
from voicesession_common.errors import ConflictError, RetryableError, TerminalError
from voicesession_common.kube_client import Resource
from voicesession_operator.controller.cache import Cache, Key, ResourceKind
from voicesession_operator.controller.pod_claims import PodClaims
from voicesession_operator.domain.pod_manifest import build_pod

from tests.support import operator_objects
from tests.support.builders import CONFIG, T0
from tests.support.fakes.reconciler_world import FakeKubernetes
from tests.support.metric_changes import counted

FRONT = Key("default", "front")


class YieldingKubernetes(FakeKubernetes):
    """Lets other claims run before each write, as the network does."""

    async def patch(self, resource: Resource, namespace: str, name: str, body: JsonObject) -> JsonObject:
        await asyncio.sleep(0)
        return await super().patch(resource, namespace, name, body)


class Scene:
    """The claims of one leader; `kube` can be shared with another leader."""

    def __init__(self, pods: int = 1, kube: FakeKubernetes | None = None) -> None:
        self.kube, self.cache, self.changed = kube or YieldingKubernetes(), Cache(), list[Key]()
        self.claims = PodClaims(self.kube, self.cache, self.changed.append, lambda: T0)
        self.cache.upsert(ResourceKind.POOL, operator_objects.pool())
        for number in range(pods):
            self.add(operator_objects.warm_pod(number, age=60 - number))

    def add(self, raw: JsonObject) -> None:
        found = self.kube.objects.get(("pods", raw["metadata"]["name"])) or self.kube.put("pods", raw)
        self.cache.upsert(ResourceKind.POD, found)

    async def claim(self, name: str = "hello", ordinal: int = 0, spec: JsonObject | None = None) -> JsonObject | None:
        session = VoiceSession.parse(operator_objects.session(name, f"uid-{name}"))
        agent = VoiceAgent.parse(operator_objects.agent(spec=spec))
        return await self.claims.claim(session, build_pod(session, agent, ordinal, CONFIG))

    def owner(self, number: int = 0) -> str:
        (owner,) = self.kube.objects["pods", f"front-{number}"]["metadata"]["ownerReferences"]
        return str(owner["name"])


async def test_claimed_pod_belongs_to_the_session() -> None:
    scene = Scene()
    claimed = await scene.claim(ordinal=2)
    assert claimed is not None
    meta = scene.kube.objects["pods", "front-0"]["metadata"]
    assert [(owner["kind"], owner["uid"]) for owner in meta["ownerReferences"]] == [("VoiceSession", "uid-hello")]
    assert meta["labels"][constants.SESSION_UID_LABEL] == "uid-hello"
    assert meta["labels"][constants.POOL_LABEL] == "front"
    assert meta["annotations"][constants.SESSION_ANNOTATION] == "default/hello"
    assert meta["annotations"][constants.ORDINAL_ANNOTATION] == "2"
    assert meta["annotations"][constants.CLAIMED_AT_ANNOTATION].startswith("2025-")
    assert [pod["metadata"]["name"] for pod in scene.cache.pods_of("default", "uid-hello")] == ["front-0"]
    assert scene.cache.pods_of("default", "front-uid") == []


async def test_oldest_warm_pod_is_claimed_first() -> None:
    scene = Scene(pods=3)
    assert [(await scene.claim(f"s{n}") or {})["metadata"]["name"] for n in range(3)] == [
        "front-0",
        "front-1",
        "front-2",
    ]
    assert await scene.claim("late") is None


async def test_warm_pod_on_node_of_ending_pod_is_claimed_last() -> None:
    scene = Scene(pods=0)
    ending = operator_objects.pod() | {"spec": {"nodeName": "drained"}}
    ending["metadata"] |= {"deletionTimestamp": "2025-11-22T23:20:00Z"}
    scene.add(ending)
    for number, node in enumerate(("drained", "other", "drained")):
        scene.add(operator_objects.warm_pod(number, age=60 - number) | {"spec": {"nodeName": node}})
    session = VoiceSession.parse(operator_objects.session())
    manifest = build_pod(session, VoiceAgent.parse(operator_objects.agent()), 1, CONFIG)
    found = [await scene.claims.claim(session, manifest) or {} for _ in range(3)]
    assert [pod["metadata"]["name"] for pod in found] == ["front-1", "front-0", "front-2"]


async def test_claims_at_the_same_time_get_different_pods_without_a_conflict() -> None:
    scene = Scene(pods=5)
    found = await asyncio.gather(*(scene.claim(f"s{n}") for n in range(6)))
    names = [pod["metadata"]["name"] for pod in found if pod is not None]
    assert len(names) == len(set(names)) == 5
    assert scene.kube.writes == ["patch pods itself"] * 5


async def test_two_leaders_never_share_a_pod() -> None:
    first = Scene(pods=3)
    second = Scene(pods=3, kube=first.kube)
    claims = [scene.claim(f"{name}{n}") for n in range(3) for name, scene in (("a", first), ("b", second))]
    found = [pod for pod in await asyncio.gather(*claims) if pod is not None]
    assert sorted(pod["metadata"]["name"] for pod in found) == ["front-0", "front-1", "front-2"]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 29)), max_size=40), st.integers(0, 12))
def test_pod_has_a_single_owner_with_any_order_of_claims(orders: list[tuple[int, int]], pods: int) -> None:
    first = Scene(pods=pods)
    leaders = (first, Scene(pods=pods, kube=first.kube))
    owners: dict[str, str] = {}

    async def run() -> None:
        claims = [leaders[leader].claim(f"s{n}-{turn}") for turn, (leader, n) in enumerate(orders)]
        for turn, pod in enumerate(await asyncio.gather(*claims)):
            if pod is not None:
                owner = f"s{orders[turn][1]}-{turn}"
                assert owners.setdefault(pod["metadata"]["name"], owner) == owner

    asyncio.run(run())
    assert len(owners) == min(pods, len(orders))


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False))
def test_thousand_claims_of_two_hundred_pods_have_different_pods(order: Random) -> None:
    """Let three leaders claim at once, each with its own, often outdated view of the pods."""
    first = Scene(pods=200)
    leaders = [first, *(Scene(pods=200, kube=first.kube) for _ in range(2))]
    turns = [order.randrange(3) for _ in range(1000)]

    async def run() -> list[JsonObject | None]:
        return await asyncio.gather(*(leaders[leader].claim(f"s{turn}") for turn, leader in enumerate(turns)))

    pods = [pod["metadata"]["name"] for pod in asyncio.run(run()) if pod is not None]
    assert len(pods) == len(set(pods))
    assert sum(first.owner(number) != FRONT.name for number in range(200)) == len(pods)


async def test_changed_pod_is_read_again_and_claimed() -> None:
    scene = Scene()
    scene.kube.put("pods", scene.kube.objects["pods", "front-0"])
    assert await scene.claim() is not None
    assert scene.owner() == "hello"


async def test_missing_pod_is_no_longer_tried() -> None:
    scene = Scene(pods=2)
    del scene.kube.objects["pods", "front-0"]
    assert (await scene.claim() or {})["metadata"]["name"] == "front-1"
    assert scene.cache.get(ResourceKind.POD, Key("default", "front-0")) is None


@pytest.mark.parametrize("error", [ConflictError("Conflict", "changed"), TerminalError("Forbidden", "no right")])
async def test_refused_claim_leaves_the_session_to_a_cold_start(error: Exception) -> None:
    scene = Scene()
    scene.kube.before_write = lambda: scene.kube.errors.update({"patch pods itself": error})  # type: ignore[dict-item]
    assert await scene.claim() is None
    assert scene.owner() == "front"


async def test_unknown_outcome_of_a_claim_is_raised() -> None:
    scene = Scene()
    scene.kube.errors["patch pods itself"] = RetryableError("KubernetesUnavailable", "down")
    with pytest.raises(RetryableError):
        await scene.claim()
    assert await scene.claim() is not None


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "Pending"},
        {"podIP": ""},
        {"conditions": [{"type": "Ready", "status": "False"}]},
    ],
)
async def test_unready_pod_is_never_claimed(change: JsonObject) -> None:
    scene, raw = Scene(pods=0), operator_objects.warm_pod()
    scene.add({**raw, "status": {**raw["status"], **change}})
    assert await scene.claim() is None


async def test_terminating_pod_is_never_claimed() -> None:
    scene, raw = Scene(pods=0), operator_objects.warm_pod()
    scene.add({**raw, "metadata": {**raw["metadata"], "deletionTimestamp": "2025-11-22T23:20:11Z"}})
    assert await scene.claim() is None


async def test_pod_of_an_earlier_definition_is_never_claimed() -> None:
    scene = Scene()
    assert await scene.claim(spec={"instructions": "Be brief."}) is None
    assert await scene.claim(spec={"pod": {"image": "registry.example/agent:2"}}) is None
    assert scene.owner() == "front"


async def test_pod_of_a_session_is_never_claimed_again() -> None:
    scene = Scene()
    await scene.claim()
    raw = scene.kube.objects["pods", "front-0"]
    scene.kube.put("pods", {**raw, "metadata": {**raw["metadata"], "ownerReferences": []}})
    scene.cache.upsert(ResourceKind.POD, scene.kube.objects["pods", "front-0"])
    assert await scene.claim("next") is None


async def test_session_without_a_pool_is_no_miss() -> None:
    scene = Scene(pods=0)
    scene.cache.remove(ResourceKind.POOL, operator_objects.pool())
    with counted() as rise:
        assert await scene.claim() is None
    assert (rise.of("voicesession_pool_claims_total", result="miss"), scene.changed) == (0, [])


async def test_several_pools_of_an_agent_add_up() -> None:
    scene = Scene()
    scene.cache.upsert(ResourceKind.POOL, operator_objects.pool("back"))
    scene.add(operator_objects.warm_pod(7, of="back", age=90))
    assert [(await scene.claim(f"s{n}") or {})["metadata"]["name"] for n in range(2)] == ["back-7", "front-0"]
    assert scene.changed == [Key("default", "back"), FRONT]


async def test_hits_misses_and_arrivals_are_counted_until_settled() -> None:
    scene = Scene()
    with counted() as rise:
        await scene.claim("a")
        await scene.claim("b")
    assert [rise.of("voicesession_pool_claims_total", result=result) for result in ("hit", "miss")] == [1, 1]
    assert rise.of("voicesession_claim_seconds_count") == 1
    tally = scene.claims.tally(FRONT)
    assert (tally.hits, tally.misses, len(tally.arrivals)) == (1, 1, 2)
    scene.claims.settle(FRONT, 1, 0)
    tally = scene.claims.tally(FRONT)
    assert (tally.hits, tally.misses, len(tally.arrivals)) == (0, 1, 2)
