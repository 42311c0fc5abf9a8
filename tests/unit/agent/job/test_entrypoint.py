"""A user's entry point by name."""

from pathlib import Path

import pytest
from voicesession_agent.job.entrypoint import EntrypointError, load

PLAIN = """
async def entry(ctx): ...
def prewarm(proc): ...
def not_async(ctx): ...
"""
SERVED = """
from livekit.agents import AgentServer
server = AgentServer()
def warm(proc): ...
server.setup_fnc = warm
@server.rtc_session()
async def entry(ctx): ...
"""


def test_a_plain_function_and_its_prewarm(own_modules: Path) -> None:
    (own_modules / "plain_agent.py").write_text(PLAIN)
    found = load("plain_agent:entry")
    assert found.run.__name__ == "entry"
    assert found.prewarm is not None
    assert found.prewarm.__name__ == "prewarm"


@pytest.mark.parametrize("attribute", ["entry", "server"])
def test_an_agent_server_brings_its_setup(own_modules: Path, attribute: str) -> None:
    (own_modules / f"served_{attribute}.py").write_text(SERVED)
    found = load(f"served_{attribute}:{attribute}")
    assert found.run.__name__ == "entry"
    assert found.prewarm is not None
    assert found.prewarm.__name__ == "warm"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such:f", "entrypoint \"no_such:f\": No module named 'no_such'"),
        ("no_colon", "not of the form"),
        (":f", "not of the form"),
        ("broken_agent:f", "RuntimeError: at import"),
        ("plain_again:nothing", "module plain_again has no nothing"),
        ("plain_again:not_async", "not an async function"),
    ],
)
def test_bad_names_say_why(own_modules: Path, name: str, words: str) -> None:
    (own_modules / "plain_again.py").write_text(PLAIN)
    (own_modules / "broken_agent.py").write_text("raise RuntimeError('at import')")
    with pytest.raises(EntrypointError) as caught:
        load(name)
    assert words in str(caught.value)
