"""The pod's state through its life, and the JSON of the control port."""

import pytest
from voicesession_agent.supervisor.desired_state import DesiredState
from voicesession_agent.supervisor.pod_state import HumanLeft, JobPhase, OtherSessionError, PodPhase, PodState


def desired(uid: str = "u1", epoch: int = 0) -> DesiredState:
    return DesiredState(uid, epoch, "vs-1", "ws://x", "t")


@pytest.fixture
def state() -> PodState:
    return PodState("pod-1", process_started=1.0)


def test_pod_phases_follow_order(state: PodState) -> None:
    assert state.phase is PodPhase.PREPARING
    state.prepared(2.0)
    assert state.phase is PodPhase.UNBOUND
    state.set_desired_state(desired(), 3.0, 3.0)
    assert state.phase is PodPhase.BOUND
    state.ended = True
    assert state.phase is PodPhase.ENDED
    assert not state.ready


def test_bind_while_preparing_is_kept(state: PodState) -> None:
    state.set_desired_state(desired(), 2.0, 2.0)
    assert state.phase is PodPhase.PREPARING
    assert state.render()["sessionUID"] == "u1"
    state.prepared(3.0)
    assert state.phase is PodPhase.BOUND


def test_state_of_other_session_raises(state: PodState) -> None:
    state.set_desired_state(desired("u1"), 2.0, 2.0)
    with pytest.raises(OtherSessionError):
        state.set_desired_state(desired("u2"), 3.0, 3.0)


def test_epoch_never_decreases(state: PodState) -> None:
    state.set_desired_state(desired(epoch=2), 2.0, 2.0)
    state.set_desired_state(desired(epoch=1), 3.0, 3.0)
    assert state.render()["epoch"] == 2


def test_repeated_state_keeps_first_bind_time(state: PodState) -> None:
    state.set_desired_state(desired(), 2.0, 2.0)
    state.set_desired_state(desired(), 9.0, 9.0)
    assert state.render()["timings"]["bound"] == 2.0


def test_preparation_problem_blocks_readiness_until_prepared(state: PodState) -> None:
    state.prepared(2.0)
    state.prepare_trouble = "no module"
    assert not state.ready
    assert state.render()["trouble"] == "no module"
    state.prepared(3.0)
    assert state.ready
    assert state.render()["trouble"] == ""


def test_lost_process_is_shown_unless_process_gave_reason(state: PodState) -> None:
    state.unprepared("no module", 7)
    assert not state.process_lost("exited with code 0", 7)
    assert state.trouble == "no module"
    assert state.process_lost("exited with code 3", 8)
    assert state.trouble == "exited with code 3"


def test_job_problem_is_shown_and_keeps_readiness(state: PodState) -> None:
    state.prepared(2.0)
    state.job_trouble = "cannot join"
    assert state.ready
    state.job_joined("PA_1", 3.0, 3.0)
    assert state.render()["trouble"] == ""


def test_job_start_counts_launch_and_clears_room_facts(state: PodState) -> None:
    assert state.job_starts() == 1
    state.job_joined("PA_1", 3.0, 3.0)
    state.set_humans(("alice",), 3.0)
    assert state.job_starts() == 2
    job = state.render()["job"]
    assert job == {
        "state": JobPhase.STARTING.value,
        "participantSID": "",
        "participantEpoch": "",
        "restarts": 1,
        "epoch": 0,
    }
    assert state.render()["humans"] == []


def test_last_human_left_is_set_by_last_leave(state: PodState) -> None:
    state.set_humans(("alice", "bob"), 3.0)
    state.human_left(HumanLeft("alice", "CLIENT_INITIATED", 5.0))
    assert state.render()["lastHumanLeft"] is None
    state.human_left(HumanLeft("bob", "CONNECTION_TIMEOUT", 6.0))
    assert state.render()["lastHumanLeft"] == {"identity": "bob", "reason": "CONNECTION_TIMEOUT", "at": 6.0}
    state.set_humans(("bob",), 7.0)
    assert state.render()["lastHumanLeft"] is None


def test_render_of_new_pod_has_every_field(state: PodState) -> None:
    rendered = state.render()
    assert rendered["job"]["epoch"] == 0
    assert (rendered["reset"], rendered["activeAt"]) == (None, None)
    assert rendered["health"] == {"state": "Ok", "message": "", "remedies": 0}
    assert rendered["capture"] == {"backlog": 0, "lost": 0, "repeated": 0}


def test_job_epoch_is_set_at_start_and_phase_at_join(state: PodState) -> None:
    state.set_desired_state(desired(epoch=1), 2.0, 2.0)
    state.job_starts()
    state.job_joined("PA_1", 3.0, 3.0)
    assert state.set_desired_state(desired(epoch=2), 4.0, 4.0)
    assert state.render()["job"]["participantSID"] == ""
    assert not state.accepts(1)
    assert state.job_starts() == 2
    assert state.render()["job"]["epoch"] == 2
    completed = state.job_joined("PA_2", 4.212, 4.212)
    assert completed is not None
    assert completed.milliseconds == 212
    assert state.accepts(2)
    assert not state.set_desired_state(desired(epoch=2), 5.0, 5.0)


def test_long_problem_is_cut_in_the_report(state: PodState) -> None:
    state.prepare_trouble = "x" * 1_000_000
    assert len(state.render()["trouble"]) == 1024


def test_conversation_lasts_while_job_and_human_are_in_room() -> None:
    state = PodState("pod-1", process_started=1.0)
    state.set_desired_state(DesiredState("u1", 1, "vs-1", "ws://x", "t"), 2.0, 2.0)
    state.job_starts()
    assert not state.is_in_conversation
    state.job_joined("PA_1", 3.0, 3.0)
    assert not state.is_in_conversation
    state.set_humans(("alice",), 4.0)
    assert state.is_in_conversation
    state.job_exited()
    assert not state.is_in_conversation
