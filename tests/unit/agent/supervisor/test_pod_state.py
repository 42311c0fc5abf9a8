"""What the control port tells, through the life of a pod."""

import pytest
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import HumanLeft, JobPhase, OtherSessionError, Phase, PodState


def desired(uid: str = "u1", epoch: int = 0, end: bool = False) -> DesiredState:
    return DesiredState(uid, epoch, "vs-1", "ws://x", "t", end=end)


@pytest.fixture
def state() -> PodState:
    return PodState("pod-1", process_started=1.0)


def test_phases_in_order(state: PodState) -> None:
    assert state.phase is Phase.PREPARING
    state.prepared(2.0)
    assert state.phase is Phase.UNBOUND
    state.set_desired_state(desired(), 3.0)
    assert state.phase is Phase.BOUND
    state.set_desired_state(desired(end=True), 4.0)
    assert state.phase is Phase.ENDED
    assert not state.ready


def test_bound_while_preparing_is_remembered(state: PodState) -> None:
    state.set_desired_state(desired(), 2.0)
    assert state.phase is Phase.PREPARING
    assert state.render()["sessionUID"] == "u1"
    state.prepared(3.0)
    assert state.phase is Phase.BOUND


def test_another_session_is_refused(state: PodState) -> None:
    state.set_desired_state(desired("u1"), 2.0)
    with pytest.raises(OtherSessionError):
        state.set_desired_state(desired("u2"), 3.0)


def test_epoch_and_end_never_go_back(state: PodState) -> None:
    state.set_desired_state(desired(epoch=2), 2.0)
    state.set_desired_state(desired(epoch=1), 3.0)
    assert state.render()["epoch"] == 2
    state.set_desired_state(desired(epoch=2, end=True), 4.0)
    state.set_desired_state(desired(epoch=2), 5.0)
    assert state.ended


def test_told_twice_keeps_its_first_time(state: PodState) -> None:
    state.set_desired_state(desired(), 2.0)
    state.set_desired_state(desired(), 9.0)
    assert state.render()["timings"]["bound"] == 2.0


def test_prepare_trouble_stops_readiness_until_prepared_again(state: PodState) -> None:
    state.prepared(2.0)
    state.prepare_trouble = "no module"
    assert not state.ready
    assert state.render()["trouble"] == "no module"
    state.prepared(3.0)
    assert state.ready
    assert state.render()["trouble"] == ""


def test_job_trouble_shows_but_does_not_stop(state: PodState) -> None:
    state.prepared(2.0)
    state.job_trouble = "cannot join"
    assert state.ready
    state.job_joined("PA_1", 3.0)
    assert state.render()["trouble"] == ""


def test_jobs_are_counted_and_cleared(state: PodState) -> None:
    assert state.job_starts() == 1
    state.job_joined("PA_1", 3.0)
    state.set_humans(("alice",), 3.0)
    assert state.job_starts() == 2
    job = state.render()["job"]
    assert job == {"state": JobPhase.STARTING.value, "participantSID": "", "restarts": 1, "epoch": 0}
    assert state.render()["humans"] == []


def test_only_the_last_humans_leave_is_told(state: PodState) -> None:
    state.set_humans(("alice", "bob"), 3.0)
    state.human_left(HumanLeft("alice", "CLIENT_INITIATED", 5.0))
    assert state.render()["lastHumanLeft"] is None
    state.human_left(HumanLeft("bob", "CONNECTION_TIMEOUT", 6.0))
    assert state.render()["lastHumanLeft"] == {"identity": "bob", "reason": "CONNECTION_TIMEOUT", "at": 6.0}
    state.set_humans(("bob",), 7.0)
    assert state.render()["lastHumanLeft"] is None


def test_a_new_pod_tells_the_whole_contract(state: PodState) -> None:
    told = state.render()
    assert told["job"]["epoch"] == 0
    assert (told["reset"], told["activeAt"]) == (None, None)
    assert told["health"] == {"state": "Ok", "message": "", "remedies": 0}
    assert told["capture"] == {"backlog": 0, "lost": 0, "repeated": 0}


def test_a_job_of_an_epoch_is_in_the_room_only_once_it_has_joined(state: PodState) -> None:
    state.set_desired_state(desired(epoch=1), 2.0)
    state.job_starts()
    state.job_joined("PA_1", 3.0)
    assert state.set_desired_state(desired(epoch=2), 4.0)
    assert state.render()["job"]["participantSID"] == ""
    assert not state.accepts(1)
    assert state.job_starts() == 2
    assert state.render()["job"]["epoch"] == 2
    completed = state.job_joined("PA_2", 4.212)
    assert completed is not None
    assert completed.milliseconds == 212
    assert state.accepts(2)
    assert not state.set_desired_state(desired(epoch=2), 5.0)
