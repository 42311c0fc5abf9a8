"""Third-party images: pulled where a registry answers, else built from pinned packages under the same tags."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import engine, host
from hack.cluster.constants import BIN, IMAGES, KUBERNETES_PROGRAMS, NODE_IMAGE, PROGRAM_VERSIONS
from hack.cluster.process import CommandError, Line, run

STAMP_LABEL = "dev.voicesession.pins"
CA_FILE = "offline-ca.crt"
CA_PLACES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True)
class StandIn:
    """One image that can be built here: its folder under hack/images and what goes into it."""

    image: str
    folder: str
    bases: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    takes_ca: bool = False
    host_program: str = ""
    host_packages: tuple[str, ...] = ()


DEBIAN = StandIn("debian:bookworm-slim", "debian", host_program="debootstrap", host_packages=("debootstrap",))
PYTHON = StandIn("python:3.11-slim", "python", bases=(DEBIAN.image,), takes_ca=True)
STAND_INS = (
    DEBIAN,
    PYTHON,
    StandIn("pgvector/pgvector:pg16", "pgvector", bases=(DEBIAN.image, PYTHON.image)),
    StandIn("letta/letta:0.16.8", "letta", bases=(PYTHON.image,)),
    StandIn("livekit/livekit-server:v1.13.5", "livekit", bases=(DEBIAN.image,), programs=("livekit-server",)),
    StandIn(
        NODE_IMAGE,
        "node",
        bases=(DEBIAN.image,),
        programs=(*KUBERNETES_PROGRAMS, "etcd", "coredns", "local-path-provisioner"),
        host_program="gcc",
        host_packages=("gcc", "libc6-dev"),
    ),
)
BY_IMAGE = {item.image: item for item in STAND_INS}
THIRD_PARTY = tuple(item.image for item in STAND_INS if item is not DEBIAN)
CLUSTER_IMAGES = tuple(image for image in THIRD_PARTY if image not in (NODE_IMAGE, PYTHON.image))


def host_ca() -> Path:
    """Return the CA bundle this machine trusts; raises CommandError where none is found."""
    for place in (os.environ.get("SSL_CERT_FILE", ""), *CA_PLACES):
        if place and Path(place).is_file():
            return Path(place)
    raise CommandError(("find", *CA_PLACES), 1, "no CA bundle on this machine")


def pins(item: StandIn) -> str:
    """Return the hash of everything that defines `item`: its files, its programs' versions and its bases."""
    digest = hashlib.sha256()
    for file in sorted((IMAGES / item.folder).iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in item.programs:
        digest.update(f"{name}@{PROGRAM_VERSIONS[name]}\n".encode())
    for base in item.bases:
        digest.update(pins(BY_IMAGE[base]).encode())
    return digest.hexdigest()[:16]


def stamp(item: StandIn) -> str:
    """Return the label of an up-to-date `item`; another CA makes only the images anew that carry it."""
    ca = hashlib.sha256(host_ca().read_bytes()).hexdigest()[:16] if item.takes_ca else ""
    return f"{pins(item)}{ca}"


def is_usable(image: str) -> bool:
    """Tell whether `image` is here: pulled (no stamp of ours), or built here from today's pins."""
    label = engine.label(image, STAMP_LABEL)
    return label is not None and label in ("", stamp(BY_IMAGE[image]))


def is_stand_in(image: str) -> bool:
    """Tell whether the local `image` was built here."""
    return bool(engine.label(image, STAMP_LABEL))


def pull_missing(line: Line) -> list[str]:
    """Pull what is not usable yet and return what has to be built; the first refusal decides for the rest.

    The node image is never pulled: where a registry answers, kind brings the one it was made for.
    """
    unusable = [image for image in THIRD_PARTY if not is_usable(image)]
    wanted = [image for image in unusable if image != NODE_IMAGE]
    for image in wanted or unusable[:1]:
        if not engine.pull(image, line):
            line("no registry gives it: building stand-ins")
            return [image for image in unusable if not is_usable(image)]
    return []


def programs_for(images: Iterable[str]) -> list[str]:
    """Return the programs that building `images` needs."""
    return [name for image in images for name in BY_IMAGE[image].programs]


def build(image: str, line: Line) -> None:
    """Build the stand-in of `image`, its bases first; raises CommandError."""
    item = BY_IMAGE[image]
    for base in item.bases:
        if not is_usable(base):
            build(base, line)
    if item.host_program:
        host.need(item.host_program, line, *item.host_packages)
    with tempfile.TemporaryDirectory(prefix="voicesession-") as folder:
        context = Path(folder) / item.folder
        shutil.copytree(IMAGES / item.folder, context)
        _add_extras(item, context)
        _build_in(item, context, line)


def _add_extras(item: StandIn, context: Path) -> None:
    if item.takes_ca:
        shutil.copy(host_ca(), context / CA_FILE)
    if item.programs:
        (context / "programs").mkdir()
    for name in item.programs:
        shutil.copy(BIN / name, context / "programs" / name)


def _build_in(item: StandIn, context: Path, line: Line) -> None:
    docker, value = engine.client(), stamp(item)
    line(f"[{item.image}] building a stand-in")
    if (context / "build.sh").exists():
        env = {
            "DOCKER": docker,
            "IMAGE": item.image,
            "STAMP_LABEL": STAMP_LABEL,
            "STAMP": value,
            "KIND_VERSION": PROGRAM_VERSIONS["kind"],
        }
        run("bash", "build.sh", line=line, env=env, cwd=context)
        return
    build_image(item.image, context, line, "--label", f"{STAMP_LABEL}={value}")


def build_image(image: str, context: Path, line: Line, *options: str) -> None:
    """Run `docker build` with BuildKit for `image`; raises CommandError."""

    def said(text: str) -> None:
        if " sha256:" not in text:  # BuildKit repeats each step's digest, which tells a reader nothing
            line(text)

    command = (engine.client(), "build", "--progress=plain", "-t", image, *options, str(context))
    run(*command, line=said, env={"DOCKER_BUILDKIT": "1"})
