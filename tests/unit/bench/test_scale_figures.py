"""The section and the aims of the bench with thousands of live sessions."""

from dataclasses import replace

from tests.bench.scale_figures import LEAVES, Figures

GOOD = Figures(
    5000,
    rss=249,
    cores=0.49,
    calls={"ListRooms": 6},
    leaves={"by webhook": [0.2] * LEAVES, "without webhook": [0.9] * LEAVES},
    new_leader=4.9,
    webhook_answers=[0.01],
    kept_lead=True,
)


def test_figures_within_aims_have_no_misses() -> None:
    section = GOOD.section()
    assert section.misses == []
    assert "| memory (RSS) at rest | 249 MiB | 250 MiB |" in section.render()


def test_each_figure_beyond_aim_is_a_miss() -> None:
    late = [*GOOD.leaves["by webhook"][2:], 1.1, 1.1]
    bad = replace(GOOD, rss=251, cores=0.6, new_leader=6, webhooks_failed=1, kept_lead=False)
    assert len(bad.misses()) == 5
    assert len(replace(GOOD, leaves={"by webhook": late}).misses()) == 1
    assert len(replace(GOOD, leaves={"by webhook": [0.1]}).misses()) == 1, "some leaves were not noticed"
