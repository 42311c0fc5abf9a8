"""The services that a job process offers to the built-in assistant."""

from dataclasses import dataclass

from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.shutdown import JobShutdown
from voicesession_agent.job.supervisor_client import SupervisorClient


@dataclass(frozen=True)
class JobServices:
    """The job's parts that an entry point may use; a user's own entry point needs none of them."""

    supervisor: SupervisorClient
    reporter: RoomReporter
    health: HealthMonitor
    shutdown: JobShutdown
