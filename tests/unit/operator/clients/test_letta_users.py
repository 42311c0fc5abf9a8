"""The Letta client: the record of the use of a user's memory, and its deletion."""

from voicesession_common import JsonObject
from voicesession_common.api.timestamps import to_rfc3339
from voicesession_operator.domain.agent_plan import Resolved, Unavailable
from voicesession_operator.domain.memory import Deleted, UserAgentPage

from tests.support.builders import T0
from tests.support.fakes.letta_server import ALICE, HOUR, USERS, FakeLetta, letta_directory, voice_agent


async def test_memory_without_blocks_gets_the_written_block() -> None:
    letta = FakeLetta()
    async with letta_directory(letta) as directory:
        await directory.resolve_user(voice_agent(blocks=[], rememberBlock="facts"), "alice")
    assert letta.agents[0]["memory_blocks"] == [{"label": "facts", "value": ""}]


async def test_use_of_a_memory_is_recorded_every_few_hours() -> None:
    letta = FakeLetta()
    records: list[JsonObject] = []
    async with letta_directory(letta) as directory:
        for hours in (0, 5, 7):
            letta.now = T0 + hours * HOUR
            assert await directory.resolve_user(voice_agent(retentionDays=30), "alice") == Resolved("agent-0")
            records.append(letta.agents[0]["metadata"])
            letta.agents[0]["tags"] = [*letta.agents[0]["tags"], "blue"]
    used = [to_rfc3339(T0), to_rfc3339(T0), to_rfc3339(T0 + 7 * HOUR)]
    assert records == [{"voicesession.dev/used-at": at, "voicesession.dev/retention-days": 30} for at in used]
    assert {ALICE, USERS, "blue"} == set(letta.agents[0]["tags"])


async def test_memory_of_an_earlier_operator_gets_tag_and_record() -> None:
    letta = FakeLetta()
    letta.add(ALICE)
    async with letta_directory(letta) as directory:
        assert await directory.resolve_user(voice_agent(), "alice") == Resolved("agent-0")
    assert set(letta.agents[0]["tags"]) == {ALICE, USERS}
    assert letta.agents[0]["metadata"]["voicesession.dev/used-at"] == to_rfc3339(T0)


async def test_failed_record_of_a_use_keeps_the_memory() -> None:
    letta = FakeLetta()
    letta.add(ALICE)
    letta.status, letta.failing = 500, "PATCH"
    async with letta_directory(letta) as directory:
        assert await directory.resolve_user(voice_agent(), "alice") == Resolved("agent-0")


async def test_forget_user_deletes_all_agents_and_own_blocks_of_the_user() -> None:
    letta = FakeLetta()
    for tag in (ALICE, ALICE, ALICE.replace("alice", "bob"), ALICE.replace("default", "other")):
        letta.add(tag, USERS)
    letta.blocks["block-1"].add("agent-2")
    async with letta_directory(letta) as directory:
        assert await directory.forget_user(voice_agent(), "alice") == Deleted(2)
        assert await directory.forget_user(voice_agent(), "alice") == Deleted(0)
    assert [agent["id"] for agent in letta.agents] == ["agent-2", "agent-3"]
    assert letta.blocks.keys() == {"block-1", "block-2", "block-3"}


async def test_forget_user_deletes_no_agent_on_an_unfiltered_answer() -> None:
    letta = FakeLetta()
    letta.add("blue")
    letta.ignores_tags = True
    async with letta_directory(letta) as directory:
        assert isinstance(await directory.forget_user(voice_agent(), "alice"), Unavailable)
    assert len(letta.agents) == 1


async def test_forget_user_during_an_outage_is_unavailable() -> None:
    letta = FakeLetta()
    letta.status = 503
    async with letta_directory(letta) as directory:
        assert isinstance(await directory.forget_user(voice_agent(), "alice"), Unavailable)


async def test_user_agents_are_listed_page_by_page() -> None:
    letta = FakeLetta()
    letta.add("voicesession:installation-1:default/agent-66")
    for number in range(60):
        letta.add(f"{ALICE}-{number}", USERS, metadata={"voicesession.dev/used-at": "not a time"})
    async with letta_directory(letta) as directory:
        first = await directory.user_agents("")
        assert isinstance(first, UserAgentPage)
        second = await directory.user_agents(first.agents[-1].agent_id)
    assert isinstance(second, UserAgentPage)
    assert (len(first.agents), first.is_last, len(second.agents), second.is_last) == (50, False, 10, True)
    assert first.agents[0].owner == ("default", "agent-66", "alice-0")
    assert first.agents[0].used_at is None


async def test_expired_memory_is_deleted_unless_used_meanwhile() -> None:
    letta = FakeLetta()
    async with letta_directory(letta) as directory:
        for user in ("alice", "bob"):
            await directory.resolve_user(voice_agent(retentionDays=1), user)
        page = await directory.user_agents("")
        assert isinstance(page, UserAgentPage)
        letta.now += 7 * HOUR
        await directory.resolve_user(voice_agent(retentionDays=1), "bob")
        assert [await directory.expire(found) for found in page.agents] == [Deleted(1), Deleted(0)]
        assert await directory.expire(page.agents[0]) == Deleted(0)
    assert [agent["id"] for agent in letta.agents] == ["agent-1"]
