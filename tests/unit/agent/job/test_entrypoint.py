"""Loading of a user's entry point by its name, and the messages for names that cannot be loaded."""

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


def test_load_plain_function_finds_prewarm_of_module(own_modules: Path) -> None:
    (own_modules / "plain_agent.py").write_text(PLAIN)
    loaded = load("plain_agent:entry")
    assert loaded.run.__name__ == "entry"
    assert loaded.prewarm is not None
    assert loaded.prewarm.__name__ == "prewarm"


@pytest.mark.parametrize("attribute", ["entry", "server"])
def test_load_agent_server_uses_setup_function(own_modules: Path, attribute: str) -> None:
    (own_modules / f"served_{attribute}.py").write_text(SERVED)
    loaded = load(f"served_{attribute}:{attribute}")
    assert loaded.run.__name__ == "entry"
    assert loaded.prewarm is not None
    assert loaded.prewarm.__name__ == "warm"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such:f", "entrypoint \"no_such:f\": No module named 'no_such'"),
        ("no_colon", "not of the form"),
        (":f", "not of the form"),
        ("broken_agent:f", "RuntimeError: at import"),
        ("exiting_agent:f", 'entrypoint "exiting_agent:f": the program called sys.exit: CRM_URL is not set'),
        ("plain_again:nothing", "module plain_again has no nothing"),
        ("plain_again:not_async", "not an async function"),
    ],
)
def test_load_invalid_name_explains_reason(own_modules: Path, name: str, message: str) -> None:
    (own_modules / "plain_again.py").write_text(PLAIN)
    (own_modules / "broken_agent.py").write_text("raise RuntimeError('at import')")
    (own_modules / "exiting_agent.py").write_text("import sys\nsys.exit('CRM_URL is not set')")
    with pytest.raises(EntrypointError) as caught:
        load(name)
    assert message in str(caught.value)
