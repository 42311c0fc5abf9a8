"""Properties of sessions with few looks at their room: no human is overlooked, whatever signs are lost."""

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from voicesession_operator.domain.observed import RoomUnknown

from tests.support.builders import ROOM, human
from tests.support.fakes.simulated_life import SimulatedLife

STEPS = (
    "a human joins",
    "a human joins unseen",
    "a human leaves",
    "a human leaves unseen",
    "webhooks get lost",
    "webhooks arrive",
    "reports get lost",
    "reports arrive",
    "livekit down",
    "livekit up",
    "0.5",
    "3",
    "9",
    "40",
)
LONGEST_SECONDS = 120
"""More than the time until a leave without any sign is noticed, and both graces."""
MANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def is_inside(life: SimulatedLife) -> bool:
    return len(life.world.rooms.rooms.get(ROOM, ())) > 1


async def step(life: SimulatedLife, name: str, number: int) -> None:
    found = human(f"human-{number}", sid=f"PA_{number}")
    match name:
        case "a human joins":
            await life.join(found)
        case "a human joins unseen":
            life.join_unseen(found)
        case "a human leaves" if is_inside(life):
            await life.leave()
        case "a human leaves unseen" if is_inside(life):
            life.world.rooms.rooms[ROOM].pop()
        case "webhooks get lost" | "webhooks arrive":
            life.webhooks = name == "webhooks arrive"
        case "reports get lost" | "reports arrive":
            life.reports = name == "reports arrive"
        case "livekit down":
            life.world.rooms.down = RoomUnknown("LiveKitUnavailable", "LiveKit does not answer")
        case "livekit up":
            life.world.rooms.down = None
        case _ if name[0].isdigit():
            await life.run(float(name))


async def lived(names: list[str]) -> SimulatedLife:
    """Return the life after these steps, or after the step in which it ended."""
    life = SimulatedLife()
    await life.start()
    for number, name in enumerate(names):
        was_inside = is_inside(life)
        await step(life, name, number)
        if life.status.get("endReason"):
            assert not was_inside or "leaves" in name, f"ended with a human inside, during: {name}"
            return life
    return life


@MANY
@given(st.lists(st.sampled_from(STEPS), max_size=25))
@example(["a human joins", "9", "a human leaves", "a human joins unseen", "3", "0.5"])
def test_session_never_ends_with_a_human_inside(names: list[str]) -> None:
    asyncio.run(lived(names))


@MANY
@given(st.lists(st.sampled_from(STEPS), max_size=15))
def test_session_ends_once_all_humans_have_left(names: list[str]) -> None:
    async def check() -> None:
        life = await lived([*names, "livekit up", "a human joins", "40"])
        if life.status.get("endReason"):
            return
        del life.world.rooms.rooms[ROOM][1:]
        await life.run(LONGEST_SECONDS)
        assert life.status["endReason"] == "LastHumanLeft"

    asyncio.run(check())
