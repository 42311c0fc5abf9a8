"""What ties a job to its supervisor, as an entry point is given it."""

from dataclasses import dataclass

from voicesession_agent.job.health_monitor import VitalSigns
from voicesession_agent.job.room_reporter import Presence
from voicesession_agent.job.shutdown import Departures
from voicesession_agent.job.supervisor_client import JobLink


@dataclass(frozen=True)
class Ties:
    link: JobLink
    presence: Presence
    signs: VitalSigns
    departures: Departures
