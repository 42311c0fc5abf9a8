"""What ties a job to its supervisor, as an entry point is given it."""

from dataclasses import dataclass

from voicesession_agent.departure import Departures
from voicesession_agent.link import JobLink
from voicesession_agent.presence import Presence
from voicesession_agent.vital_signs import VitalSigns


@dataclass(frozen=True)
class Ties:
    link: JobLink
    presence: Presence
    signs: VitalSigns
    departures: Departures
