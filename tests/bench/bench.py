"""`make bench`: measure the installed release on the kind cluster and write docs/benchmarks.md."""

import argparse
import os
import sys
import time
from collections.abc import Callable

from tests.bench import (
    claims_under_kills,
    concurrent_sessions,
    crashes,
    drained_node,
    figures,
    footprint,
    leader_failures,
    long_conversation,
    page_clicks,
    reconnect_cycles,
    recovery,
    resets,
    scale,
    session_start,
    soak,
    spoken_turns,
    teardown,
    token_requests,
    warm_sessions,
)
from tests.bench.environment import versions
from tests.bench.figures import Section
from tests.support.cluster.kubectl import Kube, KubectlError

BENCHES: dict[str, tuple[Callable[[int], Section], int]] = {
    "starting": (session_start.run, 20),
    "talking": (spoken_turns.run, 10),
    "clicking": (page_clicks.run, 10),
    "asking": (token_requests.run, 200),
    "leaving": (teardown.run, 20),
    "crashing": (crashes.run, 5),
    "leaders": (leader_failures.run, 20),
    "crowd": (concurrent_sessions.run, 30),
    "resetting": (resets.run, 50),
    "resetting-without-webhooks": (resets.run_without_webhooks, 50),
    "cycles": (reconnect_cycles.run, 25),
    "soak": (soak.run, 200),
    "conversation": (long_conversation.run, 60),
    "healing": (recovery.run, 1),
    "warm": (warm_sessions.run, 50),
    "kills": (claims_under_kills.run, 20),
    "drain": (drained_node.run, 5),
    "footprint": (footprint.run, 60),
    "scale": (scale.run, 5000),
}


def main() -> int:
    """Run the chosen benchmarks; return 1 if one of them fails or misses an aim."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHES, help="run this one; repeat for more")
    parser.add_argument("--rounds", type=int, help="rounds (or sessions) instead of the usual number")
    given = parser.parse_args()
    failed = [name for name in given.only or BENCHES if not _run(name, given.rounds)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str, rounds: int | None) -> bool:
    """Run one benchmark and write its results at once; return False if it fails or misses an aim."""
    measure, usual = BENCHES[name]
    load, begin = os.getloadavg()[0], time.monotonic()
    print(f"{name}:", flush=True)
    try:
        section = figures.stamp(measure(rounds or usual), load, versions(Kube()))
    except (AssertionError, KubectlError) as error:
        print(f"  {error}", file=sys.stderr)
        return False
    figures.keep(section)
    print(f"{section.render()}\n\n{name} took {time.monotonic() - begin:.0f} s\n", flush=True)
    return not section.misses


if __name__ == "__main__":
    sys.exit(main())
