"""`make up`: from whatever this machine has to a cluster with a session that is Ready. Standard library only."""

import argparse
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hack.cluster import engine, kind, offline_images, programs, project_images, release, virtual_env, web_page
from hack.cluster.constants import CACHE, EXAMPLE_SESSION, TOOLS, VENV
from hack.cluster.process import CommandError
from hack.cluster.progress import Steps

NEXT = f"""
The session {EXAMPLE_SESSION} is Ready. Talk to its agent, here or at http://localhost:9000 in a browser:

  source {VENV.name}/bin/activate
  voicesession talk {EXAMPLE_SESSION} --say "What do you know about this project?" --listen

Watch it: kubectl get voicesessions --watch        Take everything away: make down
"""


@contextmanager
def alone() -> Iterator[None]:
    """Hold this machine's lock: a second `make up` waits for the first, and then finds its work done."""
    with (CACHE / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another `make up` is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(steps: Steps) -> None:
    """Bring everything a cluster is made of: environment, engine, images, programs."""
    with steps.step("Python environment") as step:
        virtual_env.sync(step.line)
    with steps.step("Docker engine") as step:
        engine.start(step.line)
    with steps.step("images from a registry") as step:
        unpulled = offline_images.pull_missing(step.line)
    with steps.step("programs") as step:
        programs.build([*programs.missing(TOOLS), *offline_images.programs_for(unpulled)], step.line)
        programs.link(step.line)
    with steps.step("stand-in images") as step:
        for image in unpulled:
            offline_images.build(image, step.line)
    with steps.step("page of the gateway") as step:
        web_page.build(step.line)
    with steps.step("images of this project") as step:
        project_images.build_all(step.line)


def bring_up(steps: Steps) -> bool:
    """Bring the cluster with the release in it, from what `prepare` brings; tells whether the agent image is new."""
    with steps.step("kind cluster") as step:
        kind.ensure(step.line)
    with steps.step("images into the nodes") as step:
        tags = [item.tag for item in project_images.OWN_IMAGES]
        loaded = kind.load([*offline_images.CLUSTER_IMAGES, *tags], step.line)
    with steps.step("resource definitions") as step:
        release.apply_definitions(step.line)
    with steps.step("Helm release") as step:
        release.install(step.line)
    return project_images.AGENT.tag in loaded


def run_steps(steps: Steps, with_example: bool) -> None:
    """Run every step; raises CommandError at the first that fails."""
    prepare(steps)
    has_new_agent = bring_up(steps)
    if with_example:
        with steps.step("example session") as step:
            release.start_example(step.line, anew=has_new_agent)


def main() -> int:
    """Run the steps, print their wall times and what to do next; 1 where a step failed."""
    parser = argparse.ArgumentParser(prog="make up")
    parser.add_argument("--without-example", action="store_true", help="leave out the example agent and session")
    with_example = not parser.parse_args().without_example
    steps = Steps()
    try:
        with alone():
            run_steps(steps, with_example)
    except CommandError as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{steps.table()}", flush=True)
        steps.record("up")
    if with_example:
        print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
