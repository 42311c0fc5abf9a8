"""The LiveKit calls of a session's life, and the changes that are noticed although few looks are made."""

import pytest
from voicesession_operator.domain.observed import LeaveReason

from tests.support.builders import CONFIG, ROOM, human
from tests.support.fakes.simulated_life import LIST_SECONDS, ROOM_UPDATE_SECONDS, SimulatedLife

NOTICED_SECONDS = LIST_SECONDS + ROOM_UPDATE_SECONDS + 1.2 * CONFIG.poll_seconds
"""A list of rooms, as old as possible, with a number of participants that is as late as possible, at the next poll."""


async def test_life_with_300_seconds_of_talk_needs_20_calls() -> None:
    life = SimulatedLife()
    await life.start()
    await life.run(10)
    await life.join()
    assert life.status["humans"] == 1
    await life.run(300)
    await life.leave()
    await life.run(10)
    assert life.status["endReason"] == "LastHumanLeft"
    assert life.world.rooms.deleted == [ROOM]
    assert life.calls <= 20
    assert life.world.rooms.calls["ListRooms"] <= 330 / LIST_SECONDS


@pytest.mark.parametrize("webhooks", [True, False])
@pytest.mark.parametrize("reports", [True, False])
async def test_join_and_leave_are_noticed_by_any_sign(webhooks: bool, reports: bool) -> None:
    life = SimulatedLife(webhooks=webhooks, reports=reports)
    await life.start()
    await life.run(30)
    await life.join()
    await life.run(0 if webhooks or reports else NOTICED_SECONDS)
    assert life.status["humans"] == 1
    await life.run(45)
    await life.leave()
    await life.run(0 if webhooks or reports else NOTICED_SECONDS)
    assert life.status["humans"] == 0


async def test_returned_human_without_any_sign_is_seen_before_the_end() -> None:
    life = SimulatedLife()
    await life.start()
    await life.join()
    await life.run(20)
    await life.leave(LeaveReason.LEFT)
    life.join_unseen(human(sid="PA_again"))
    await life.run(3.5)
    assert not life.status.get("endReason")
    assert life.status["humans"] == 1


async def test_agent_lost_without_any_sign_is_noticed_within_a_minute() -> None:
    life = SimulatedLife()
    await life.start()
    await life.join()
    life.world.rooms.rooms[ROOM].pop(0)
    await life.run(75)
    assert life.world.condition("AgentJoined")["status"] == "False"


async def test_lost_room_is_created_again_at_the_next_list() -> None:
    life = SimulatedLife()
    await life.start()
    await life.join()
    await life.run(30)
    del life.world.rooms.rooms[ROOM]
    await life.run(1.2 * CONFIG.poll_seconds + LIST_SECONDS)
    assert life.world.rooms.calls["CreateRoom"] == 2
    assert life.world.condition("RoomReady")["status"] == "True"


async def test_finished_session_lists_no_participants() -> None:
    life = SimulatedLife()
    await life.start()
    await life.join()
    await life.leave()
    await life.run(10)
    listed = life.world.rooms.calls["ListParticipants"]
    await life.run(300)
    assert life.world.rooms.calls["ListParticipants"] == listed
