"""From a job's vitals to what is wrong with it, the cause before its symptoms."""

from dataclasses import dataclass
from typing import Final

from voicesession_agent.health.deaf import deaf
from voicesession_agent.health.disconnected import disconnected
from voicesession_agent.health.mute import mute
from voicesession_agent.health.vitals import Ailment, Vitals

WORKS_SECONDS: Final = 5.0
"""A job that is not found ill for so long is neither stuck nor disconnected."""
PROVED_SECONDS: Final = 15.0
"""For what shows only when somebody speaks; more than the longest time (12 s) between two looks of the operator."""


@dataclass(frozen=True)
class Diagnosis:
    ailment: Ailment
    message: str


def diagnose(vitals: Vitals) -> Diagnosis | None:
    if disconnected(vitals.lost):
        return Diagnosis(Ailment.DISCONNECTED, "the connection to the room was lost")
    if vitals.failing:
        return Diagnosis(Ailment.PROVIDER_FAILING, vitals.failing)
    if mute(vitals.inaudible, vitals.muted):
        return Diagnosis(Ailment.MUTE, "the agent speaks and nobody can hear it")
    if deaf(vitals.unheard):
        return Diagnosis(Ailment.DEAF, "a human speaks and the agent hears nothing")
    return None


def works_after(ailment: Ailment) -> float:
    """Seconds in its room after which the next job counts as well."""
    return WORKS_SECONDS if ailment in (Ailment.STUCK, Ailment.DISCONNECTED) else PROVED_SECONDS


STUCK = Diagnosis(Ailment.STUCK, "the job does not respond")
