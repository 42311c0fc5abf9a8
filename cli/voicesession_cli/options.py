"""What each command was asked to do; all times are seconds."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every command takes."""

    context: str | None
    json_output: bool


@dataclass(frozen=True, kw_only=True)
class Ls(Options):
    namespace: str | None
    all_namespaces: bool
    watch: bool


@dataclass(frozen=True, kw_only=True)
class OfSession(Options):
    """A command about one session; `namespace` None is that of the context."""

    session: str
    namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Describe(OfSession):
    pass


@dataclass(frozen=True, kw_only=True)
class Logs(OfSession):
    follow: bool
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Order(OfSession):
    """`reset` and `end`."""

    wait: bool
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Reset(Order):
    pass


@dataclass(frozen=True, kw_only=True)
class End(Order):
    pass


@dataclass(frozen=True, kw_only=True)
class DrainCheck(Options):
    node: str


@dataclass(frozen=True, kw_only=True)
class Doctor(Options):
    operator_namespace: str | None


@dataclass(frozen=True, kw_only=True)
class Completion(Options):
    shell: str


@dataclass(frozen=True, kw_only=True)
class Talk(OfSession):
    say: tuple[str, ...]
    wav: Path | None
    save: Path | None
    listen: bool
    identity: str
    name: str
    url: str | None
    linger: float
    ready_timeout: float
    reply_timeout: float
