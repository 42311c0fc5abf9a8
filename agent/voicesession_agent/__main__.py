"""`python -m voicesession_agent`: the agent image's entry point."""

import asyncio
import functools
import json
import os
import signal
import sys

from voicesession_agent.json_logging import configure_logging
from voicesession_agent.settings import AgentSettings, AgentSettingsError
from voicesession_agent.supervisor import fork_server


def main() -> None:
    """Run until SIGTERM (exit 0), or until jobs keep dying or the settings are useless (exit 1)."""
    try:
        settings = AgentSettings.load()
    except AgentSettingsError as error:
        sys.exit(json.dumps({"level": "error", "message": str(error)}))
    settings.export()
    # The kernel ignores a signal to PID 1 that has no handler, so a pod that is deleted during the imports would stay.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    modules = fork_server.preload_modules(settings.agent)
    if not settings.trouble:
        fork_server.start(modules)
    configure_logging(settings.log_level, settings.agent.entrypoint)

    from voicesession_agent.supervisor import job_pool as jobs  # noqa: PLC0415 - not before the fork server
    from voicesession_agent.supervisor.app import SupervisorApp  # noqa: PLC0415

    new_server = functools.partial(jobs.new_server, shutdown_seconds=settings.shutdown_seconds)
    pool = jobs.LiveKitJobs(settings.agent, modules, settings.livekit_url, new_server)
    code = asyncio.run(SupervisorApp(settings, pool).run())
    sys.stdout.flush()
    os._exit(code)  # threads of livekit-agents that wait for dead processes must not hold the pod


if __name__ == "__main__":
    main()
