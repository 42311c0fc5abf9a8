"""The reader runs blocks like a user of the documents, and reports failures."""

import os
from pathlib import Path

import pytest
import yaml

from tests.support.documents.blocks import Block
from tests.support.documents.reader import VALUES, Reader


def _block(*lines: str) -> Block:
    return Block("a.md", 7, "console", "\n".join(lines) + "\n")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path, {"PATH": os.environ["PATH"]})


def test_commands_share_a_shell(reader: Reader) -> None:
    reader.run(_block("$ word=hello", '$ echo "$word $NODE" > said', "$ cat said", "hello  one  more"), NODE="one")
    assert (reader.folder / "said").read_text() == "hello one\n"


def test_failing_command_is_reported_with_output(reader: Reader) -> None:
    with pytest.raises(AssertionError, match=r"a\.md:7: ls /nowhere\n.*No such file"):
        reader.run(_block("$ true", "$ ls /nowhere", "$ touch late"))
    assert not (reader.folder / "late").exists()


def test_pipe_fails_with_any_part(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="false"):
        reader.run(_block("$ false | cat"))


def test_missing_output_fails(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="shows nothing like"):
        reader.run(_block("$ echo NAME", "NAME  AGE", "hello 3s"))


def test_added_values_keep_existing_values(reader: Reader) -> None:
    (reader.folder / VALUES).write_text("operator: {replicas: 2}\nletta: {enabled: true}\n")
    reader.add_value("operator", {"logLevel": "DEBUG"})
    assert yaml.safe_load((reader.folder / VALUES).read_text()) == {
        "operator": {"replicas": 2, "logLevel": "DEBUG"},
        "letta": {"enabled": True},
    }
