"""A reader of documents: runs command blocks in a shell, in a folder with the contents of this repository."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from hack.cluster import constants
from tests.support.cluster.kubectl import Kube, program
from tests.support.documents.blocks import Block, Command

VALUES = "my-values.yaml"
"""The documents' name for the file with the user's values; here the values of the installed release."""
ELLIPSES = ("...", "…")
SECONDS = 900


class Reader:
    """Runs blocks in `folder`; files that commands create stay there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def add_value(self, block: str, value: dict[str, object]) -> None:
        """Add to a section of the user's values."""
        path = self.folder / VALUES
        values = yaml.safe_load(path.read_text())
        path.write_text(yaml.safe_dump(values | {block: values.get(block, {}) | value}))

    def run(self, block: Block, **variables: str) -> None:
        """Run a block; `variables` are set in its shell.

        Raises AssertionError if a command fails or its output lacks a line of the document.
        """
        mark = f"--- {secrets.token_hex(8)}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script(block.commands, mark)],
            cwd=self.folder,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        outputs = done.stdout.split(f"{mark}\n")
        assert done.returncode == 0, f"{block.where}: {block.commands[len(outputs) - 1].text}\n{outputs[-1]}"
        for command, output in zip(block.commands, outputs, strict=False):
            absent = missing(command.shown, output)
            assert not absent, f"{block.where}: {command.text}\nshows nothing like {absent}:\n{output}"


def script(commands: tuple[Command, ...], mark: str) -> str:
    """Return the commands for one shell; the mark follows the output of each."""
    return "".join(f"{command.text}\necho '{mark}'\n" for command in commands)


def missing(shown: tuple[str, ...], output: str) -> list[str]:
    """Return the first two words of each shown line that begin no line of the output.

    The rest of a line is a room, a time or a sentence, and differs each time.
    """
    lines = [line.split() for line in output.splitlines()]
    begun = {tuple(words[:length]) for words in lines for length in (1, 2)}
    return [" ".join(begin) for begin in map(_begin, shown) if begin not in begun and begin]


def _begin(line: str) -> tuple[str, ...]:
    """Return the first two words; empty for an ellipsis."""
    return tuple(takewhile(lambda word: word not in ELLIPSES, line.split()[:2]))


@contextmanager
def at_the_cluster(kube: Kube) -> Iterator[Reader]:
    """Create a reader in a fresh folder, with the programs of `make up` and the cluster as the current context."""
    with TemporaryDirectory(prefix="voicesession-reader-") as made:
        folder = Path(made)
        for entry in constants.ROOT.iterdir():
            if entry.name != ".git":
                (folder / entry.name).symlink_to(entry)
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(kube.run("config", "view", "--minify", "--raw"))
        (folder / VALUES).write_text(values_of_the_release(kube))
        path = os.pathsep.join([str(constants.VENV / "bin"), str(constants.BIN), os.environ["PATH"]])
        yield Reader(folder, {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)})


def values_of_the_release(kube: Kube) -> str:
    """Return the values of the installed release, as YAML."""
    command = [program("helm"), "get", "values", constants.RELEASE, "--kube-context", kube.context, "-o", "yaml"]
    done = subprocess.run(
        [*command, "--namespace", constants.NAMESPACE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
