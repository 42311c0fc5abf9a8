"""What ties a job to its supervisor, as an entry point is given it."""

from dataclasses import dataclass

from voicesession_agent.job.health_monitor import HealthMonitor
from voicesession_agent.job.room_reporter import RoomReporter
from voicesession_agent.job.shutdown import JobShutdown
from voicesession_agent.job.supervisor_client import SupervisorClient


@dataclass(frozen=True)
class JobServices:
    link: SupervisorClient
    presence: RoomReporter
    signs: HealthMonitor
    departures: JobShutdown
