"""Pairing of messages into turns, their delivery to the supervisor, and echoes of the agent."""

import asyncio
from typing import Any

import aiohttp
import pytest
from voicesession_agent.assistant.turn_recorder import EchoDetector, HistoryRecorder, TurnPairing, TurnRecorder
from voicesession_agent.memory.backend import Turn
from voicesession_agent.protocol import HISTORY_MESSAGES, Message


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([("assistant", "Hello, this is me.")], []),
        ([("user", "Hi."), ("assistant", "Hello.")], [Turn("Hi.", "Hello.")]),
        ([("user", "One."), ("user", "Two."), ("assistant", "Yes.")], [Turn("One. Two.", "Yes.")]),
        ([("user", "Hi."), ("assistant", "Hello."), ("assistant", "More.")], [Turn("Hi.", "Hello.")]),
        ([("user", "Hi.")], [Turn("Hi.", "")]),
        ([("user", ""), ("assistant", "Yes.")], []),
        ([("system", "x"), ("user", "Hi."), ("assistant", "")], [Turn("Hi.", "")]),
    ],
)
def test_pairing_of_messages(messages: list[tuple[str, str]], turns: list[Turn]) -> None:
    pairing = TurnPairing()
    finished = [pairing.add(role, text) for role, text in messages]
    assert [turn for turn in (*finished, pairing.rest()) if turn is not None] == turns


class FakeClient:
    """A supervisor that takes turns after the given faults."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.turns: list[tuple[str, int]] = []

    async def send_turn(self, turn: Turn, number: int) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.turns.append((turn.user, number))


@pytest.mark.parametrize(
    ("faults", "turns", "lost"),
    [
        ([], [("One.", 1), ("Two.", 2)], 0),
        ([TimeoutError()], [("One.", 1), ("Two.", 2)], 0),
        ([TimeoutError(), aiohttp.ClientConnectionError()], [("Two.", 2)], 1),
    ],
)
async def test_failed_delivery_is_retried_once(
    faults: list[Exception], turns: list[tuple[str, int]], lost: int
) -> None:
    losses: list[bool] = []
    client: Any = FakeClient(*faults)
    recorder = TurnRecorder(client, lambda: losses.append(True))
    for text in ("One.", "Two."):
        recorder.add("user", text)
        recorder.add("assistant", "Yes.")
    await recorder.close()
    assert (client.turns, len(losses)) == (turns, lost)


async def test_turn_cut_short_by_end_of_job_counts_as_lost() -> None:
    class HangingClient(FakeClient):
        async def send_turn(self, turn: Turn, number: int) -> None:
            await asyncio.Event().wait()

    losses: list[bool] = []
    client: Any = HangingClient()
    recorder = TurnRecorder(client, lambda: losses.append(True))
    recorder.add("user", "One.")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(recorder.close(), 0.01)
    assert losses == [True]


def loops(*pairs: tuple[str, str], seconds: float = 5.0) -> list[bool]:
    """Return the finding of each pair: the human's turn, and the agent's message before it."""
    detector = EchoDetector()
    return [detector.is_loop(heard, said, seconds) for heard, said in pairs]


ECHO = ("yes I can here you", "Yes, I can hear you.")


def test_third_echo_in_a_row_is_a_loop() -> None:
    assert loops(ECHO, ECHO, ECHO, ECHO) == [False, False, True, True]


def test_other_words_end_a_row_of_echoes() -> None:
    assert loops(ECHO, ECHO, ("Good bye.", "Yes, I can hear you."), ECHO, ECHO) == [False] * 5


@pytest.mark.parametrize(
    "pair",
    [
        ("How many tasks are left", "You said: How many tasks are left"),
        ("Yes you can", "Yes, I can hear you, and you can hear me."),
        ("Yes yes", "Yes yes."),
        ("Can you hear me now", ""),
        ("", ""),
    ],
)
def test_repeated_sentence_of_human_is_no_echo(pair: tuple[str, str]) -> None:
    assert loops(pair, pair, pair, pair) == [False] * 4


def test_late_repetition_is_no_echo() -> None:
    assert loops(ECHO, ECHO, ECHO, seconds=31.0) == [False] * 3


def test_history_continues_history_of_earlier_job() -> None:
    sent: list[Any] = []
    history = HistoryRecorder(lambda kind, messages: sent.append((kind, messages)), [Message("user", "Hello.")])
    history.add("system", "Be brief.")
    history.add("assistant", "")
    assert sent == []
    history.add("assistant", "Hi.")
    assert sent == [("history", [["user", "Hello."], ["assistant", "Hi."]])]


def test_history_is_bounded() -> None:
    sent: list[Any] = []
    history = HistoryRecorder(lambda _, messages: sent.append(messages), [])
    for _ in range(2 * HISTORY_MESSAGES):
        history.add("user", "Hello.")
    assert len(sent[-1]) == HISTORY_MESSAGES
