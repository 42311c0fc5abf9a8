"""Loading of a user's entry point by its name, and the messages for names that cannot be loaded."""

import sys
from pathlib import Path

import pytest
from livekit.protocol import agent, models
from voicesession_agent.job.entrypoint import EntrypointError, JobRejectedError, ProgramExitError, load

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
async def over(ctx): ...
@server.rtc_session(on_session_end=over)
async def entry(ctx): ...
"""


def test_load_plain_function_finds_prewarm_of_module(own_modules: Path) -> None:
    (own_modules / "plain_agent.py").write_text(PLAIN)
    loaded = load("plain_agent:entry")
    assert loaded.run.__name__ == "entry"
    assert loaded.prewarm is not None
    assert loaded.prewarm.__name__ == "prewarm"
    assert loaded.session_end is None


@pytest.mark.parametrize("attribute", ["entry", "server"])
def test_load_agent_server_uses_setup_function(own_modules: Path, attribute: str) -> None:
    (own_modules / f"served_{attribute}.py").write_text(SERVED)
    loaded = load(f"served_{attribute}:{attribute}")
    assert loaded.run.__name__ == "entry"
    assert loaded.prewarm is not None
    assert loaded.prewarm.__name__ == "warm"
    assert loaded.session_end is not None
    assert loaded.session_end.__name__ == "over"


ASKED = """
from livekit.agents import AgentServer
server = AgentServer()
calls = []
async def decide(request):
    calls.append((request.job.metadata, request.agent_name, request.room.name))
    {answer}
@server.rtc_session(on_request=decide)
async def entry(ctx):
    calls.append(ctx)
"""


class Context:
    """The part of a JobContext that is known before the entry point runs."""

    job = agent.Job(id="job-1", room=models.Room(name="vs-1"), metadata="customer 7", agent_name="agent-66")


async def test_run_asks_own_on_request_first(own_modules: Path) -> None:
    (own_modules / "asked_agent.py").write_text(ASKED.format(answer="await request.accept(name='Kelly')"))
    ctx = Context()
    await load("asked_agent:server").run(ctx)
    assert sys.modules["asked_agent"].calls == [("customer 7", "agent-66", "vs-1"), ctx]


async def test_exit_of_running_entry_point_fails_job(own_modules: Path) -> None:
    (own_modules / "leaving_agent.py").write_text("async def entry(ctx): raise SystemExit(3)")
    with pytest.raises(ProgramExitError, match=r"sys\.exit: 3"):
        await load("leaving_agent:entry").run(Context())


@pytest.mark.parametrize("answer", ["await request.reject()", "return"])
async def test_run_without_acceptance_fails_job(own_modules: Path, answer: str) -> None:
    name = f"refusing_{len(answer)}"
    (own_modules / f"{name}.py").write_text(ASKED.format(answer=answer))
    with pytest.raises(JobRejectedError, match="did not accept"):
        await load(f"{name}:entry").run(Context())


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
