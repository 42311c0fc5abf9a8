"""`make up`: set up a cluster with the release and an example session. Standard library only."""

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

Watch: kubectl get voicesessions --watch        Delete the cluster: make down
"""


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold the lock of `make up`: a second run waits for the first and reuses its results."""
    with (CACHE / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another `make up` is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(steps: Steps) -> None:
    """Prepare environment, Docker engine, tools and images."""
    with steps.step("Python environment") as step:
        virtual_env.sync(step.log)
    with steps.step("Docker engine") as step:
        engine.start(step.log)
    with steps.step("registry images") as step:
        unpulled = offline_images.pull_missing(step.log)
    with steps.step("tools") as step:
        programs.build([*programs.missing(TOOLS), *offline_images.programs_for(unpulled)], step.log)
        programs.link(step.log)
    with steps.step("offline images") as step:
        for image in unpulled:
            offline_images.build(image, step.log)
    with steps.step("gateway page") as step:
        web_page.build(step.log)
    with steps.step("project images") as step:
        project_images.build_all(step.log)


def install(steps: Steps) -> bool:
    """Create the cluster and install the release; return whether the agent image is new."""
    with steps.step("kind cluster") as step:
        kind.ensure(step.log)
    with steps.step("load images") as step:
        tags = [item.tag for item in project_images.PROJECT_IMAGES]
        loaded = kind.load([*offline_images.CLUSTER_IMAGES, *tags], step.log)
    with steps.step("CRDs") as step:
        release.apply_crds(step.log)
    with steps.step("Helm release") as step:
        release.install(step.log)
    return project_images.AGENT.tag in loaded


def run_steps(steps: Steps, with_example: bool) -> None:
    """Run every step; raise CommandError at the first failure."""
    prepare(steps)
    has_new_agent = install(steps)
    if with_example:
        with steps.step("example session") as step:
            release.start_example(step.log, recreate=has_new_agent)


def main() -> int:
    """Run the steps and print their wall times and a usage hint; return 1 if a step failed."""
    parser = argparse.ArgumentParser(prog="make up")
    parser.add_argument("--without-example", action="store_true", help="leave out the example agent and session")
    with_example = not parser.parse_args().without_example
    steps = Steps()
    try:
        with exclusive():
            run_steps(steps, with_example)
    except CommandError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{steps.table()}", flush=True)
        steps.record("up")
    if with_example:
        print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
