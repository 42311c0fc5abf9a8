"""The Letta client against a local server: the memories of VoiceAgents and users, and their namespaces."""

from unittest.mock import Mock

import pytest
from voicesession_common.api.voiceagent import VoiceAgent
from voicesession_operator.clients.letta import LettaDirectory
from voicesession_operator.domain.agent_plan import Invalid, NotConfigured, Resolved, Unavailable

from tests.support import operator_objects
from tests.support.fakes.letta_server import (
    ALICE,
    BLOCKS,
    NAMESPACE,
    USERS,
    FakeLetta,
    letta_directory,
    voice_agent,
)
from tests.support.metric_changes import counted


async def test_resolve_user_returns_a_memory_per_agent_and_user() -> None:
    letta = FakeLetta()
    async with letta_directory(letta) as directory:
        users = [(voice_agent(), "alice"), (voice_agent(), "bob"), (voice_agent("other"), "alice")]
        answers = [await directory.resolve_user(*user) for user in [*users, users[0]]]
        shared = await directory.resolve(voice_agent())
    assert answers == [Resolved("agent-0"), Resolved("agent-1"), Resolved("agent-2"), Resolved("agent-0")]
    assert shared == Resolved("agent-3")
    assert letta.agents[0]["tags"] == [ALICE, USERS]
    assert letta.agents[0]["memory_blocks"] == BLOCKS


async def test_resolve_user_ignores_name_and_id_of_the_shared_memory() -> None:
    async with letta_directory(FakeLetta()) as directory:
        for memory in ({"agent": "Agent_66"}, {"agentID": "agent-7"}):
            assert await directory.resolve_user(voice_agent(**memory), "alice") == Resolved("agent-0")


async def test_resolve_user_with_special_characters_creates_a_valid_name() -> None:
    letta = FakeLetta()
    async with letta_directory(letta) as directory:
        await directory.resolve_user(voice_agent(), "alice/../" + "é@" * 200)
    assert letta.agents[0]["name"].startswith("default-agent-66-alice-")
    assert len(letta.agents[0]["name"]) <= 200


@pytest.mark.parametrize(("status", "kind"), [(500, Unavailable), (401, Unavailable), (422, Invalid)])
async def test_error_status_becomes_an_answer(status: int, kind: type) -> None:
    letta = FakeLetta()
    letta.status = status
    async with letta_directory(letta) as directory:
        assert isinstance(await directory.resolve_user(voice_agent(), "alice"), kind)
        assert isinstance(await directory.resolve(voice_agent()), kind)


async def test_unforeseen_error_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with letta_directory(FakeLetta()) as directory:
        monkeypatch.setattr("letta_client.AsyncLetta", Mock(side_effect=MemoryError))
        answer = await directory.resolve(voice_agent())
    assert answer == Unavailable("the request to Letta failed: MemoryError")


async def test_missing_model_makes_a_new_memory_invalid() -> None:
    async with letta_directory(FakeLetta(), model="") as directory:
        assert isinstance(await directory.resolve_user(voice_agent(), "alice"), Invalid)


async def test_missing_letta_or_missing_memory_is_not_configured() -> None:
    directory = LettaDirectory("", "", "", "", "installation-1")
    assert await directory.resolve_user(voice_agent(), "alice") == NotConfigured()
    assert await directory.resolve(VoiceAgent.parse(operator_objects.agent())) == NotConfigured()


async def test_lookups_are_timed_by_call_and_outcome() -> None:
    letta = FakeLetta()
    with counted() as rise:
        async with letta_directory(letta) as directory:
            await directory.resolve(voice_agent())
            letta.status = 503
            await directory.resolve_user(voice_agent(), "alice")
    name = "voicesession_letta_request_seconds_count"
    assert rise.of(name, call="find_agent", outcome="resolved") == 1
    assert rise.of(name, call="find_user", outcome="unavailable") == 1


@pytest.mark.parametrize("page", [b"<html>A proxy's page</html>", b"[" * 5000, b'"text"', b"[7]", b'[{"name": "x"}]'])
async def test_resolve_with_the_answer_of_another_program_is_unavailable(page: bytes) -> None:
    letta = FakeLetta()
    letta.page = page
    async with letta_directory(letta) as directory:
        assert isinstance(await directory.resolve(voice_agent()), Unavailable)
        assert isinstance(await directory.resolve_user(voice_agent(), "alice"), Unavailable)


@pytest.mark.parametrize(
    ("tags", "allow_untagged", "kind"),
    [
        (["voicesession:installation-1:default/another"], False, Resolved),
        ([NAMESPACE], False, Resolved),
        (["voicesession:installation-1:other/agent-66"], True, Invalid),
        (["voicesession:installation-2:default/agent-66"], True, Invalid),
        ([], False, Invalid),
        ([], True, Resolved),
    ],
)
async def test_agent_id_of_another_namespace_is_refused(tags: list[str], allow_untagged: bool, kind: type) -> None:
    letta = FakeLetta()
    agent_id = letta.add(*tags)
    async with letta_directory(letta, allow_untagged=allow_untagged) as directory:
        answer = await directory.resolve(voice_agent(agentID=agent_id))
    assert isinstance(answer, kind)
    if isinstance(answer, Invalid):
        assert f'give it the tag "{NAMESPACE}"' in answer.message


async def test_agents_with_equal_names_are_separate_in_each_namespace() -> None:
    letta = FakeLetta()
    async with letta_directory(letta) as directory:
        namespaces = ("default", "other", "default", "other")
        answers = [await directory.resolve(voice_agent(name, agent="Agent_66")) for name in namespaces]
    assert answers == [Resolved("agent-0"), Resolved("agent-1"), Resolved("agent-0"), Resolved("agent-1")]
    assert letta.agents[0]["tags"] == ["voicesession:installation-1:default/agent-66", NAMESPACE]


@pytest.mark.parametrize(
    ("tags", "answer"), [(["voicesession:installation-1:default/another"], Resolved("agent-0")), ([], None)]
)
async def test_agent_of_equal_name_without_the_tag_is_not_replaced(tags: list[str], answer: Resolved | None) -> None:
    letta = FakeLetta()
    letta.add(*tags, name="Agent_66")
    async with letta_directory(letta) as directory:
        found = await directory.resolve(voice_agent(agent="Agent_66"))
    assert found == answer or (answer is None and isinstance(found, Invalid))
    assert len(letta.agents) == 1
