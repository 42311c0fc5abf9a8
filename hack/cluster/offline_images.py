"""Third-party images: pulled from a registry or, offline, built from pinned packages under the same tags."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import engine, host
from hack.cluster.constants import BIN, IMAGES, KUBERNETES_PROGRAMS, NODE_IMAGE, PROGRAM_VERSIONS
from hack.cluster.process import CommandError, Log, run

STAMP_LABEL = "dev.voicesession.pins"
CA_FILE = "offline-ca.crt"
CA_PATHS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True)
class OfflineImage:
    """One image that can be built offline: its folder under hack/images, its bases and its programs."""

    image: str
    folder: str
    bases: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    has_ca: bool = False
    host_program: str = ""
    host_packages: tuple[str, ...] = ()


DEBIAN = OfflineImage("debian:bookworm-slim", "debian", host_program="debootstrap", host_packages=("debootstrap",))
PYTHON = OfflineImage("python:3.11-slim", "python", bases=(DEBIAN.image,), has_ca=True)
OFFLINE_IMAGES = (
    DEBIAN,
    PYTHON,
    OfflineImage("pgvector/pgvector:pg16", "pgvector", bases=(DEBIAN.image, PYTHON.image)),
    OfflineImage("letta/letta:0.16.8", "letta", bases=(PYTHON.image,)),
    OfflineImage("livekit/livekit-server:v1.13.5", "livekit", bases=(DEBIAN.image,), programs=("livekit-server",)),
    OfflineImage(
        NODE_IMAGE,
        "node",
        bases=(DEBIAN.image,),
        programs=(*KUBERNETES_PROGRAMS, "etcd", "coredns", "local-path-provisioner"),
        host_program="gcc",
        host_packages=("gcc", "libc6-dev"),
    ),
)
BY_IMAGE = {item.image: item for item in OFFLINE_IMAGES}
THIRD_PARTY = tuple(item.image for item in OFFLINE_IMAGES if item is not DEBIAN)
CLUSTER_IMAGES = tuple(image for image in THIRD_PARTY if image not in (NODE_IMAGE, PYTHON.image))


def host_ca() -> Path:
    """Return the CA bundle of this machine; raise CommandError if there is none."""
    for path in (os.environ.get("SSL_CERT_FILE", ""), *CA_PATHS):
        if path and Path(path).is_file():
            return Path(path)
    raise CommandError(("find", *CA_PATHS), 1, "no CA bundle on this machine")


def pins(item: OfflineImage) -> str:
    """Return the hash of an image's definition: its files, the versions of its programs, and its bases."""
    digest = hashlib.sha256()
    for file in sorted((IMAGES / item.folder).iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in item.programs:
        digest.update(f"{name}@{PROGRAM_VERSIONS[name]}\n".encode())
    for base in item.bases:
        digest.update(pins(BY_IMAGE[base]).encode())
    return digest.hexdigest()[:16]


def stamp(item: OfflineImage) -> str:
    """Return the label of an up-to-date image; a new CA bundle changes only the images that contain it."""
    ca = hashlib.sha256(host_ca().read_bytes()).hexdigest()[:16] if item.has_ca else ""
    return f"{pins(item)}{ca}"


def is_usable(image: str) -> bool:
    """Return whether the local `image` was pulled (without a stamp) or built here from the current definition."""
    label = engine.label(image, STAMP_LABEL)
    return label is not None and label in ("", stamp(BY_IMAGE[image]))


def is_built_here(image: str) -> bool:
    """Return whether the local `image` was built here."""
    return bool(engine.label(image, STAMP_LABEL))


def pull_missing(log: Log) -> list[str]:
    """Pull the missing images and return those that must be built; after the first failure, pull no more.

    The node image is never pulled here: online, kind pulls the one for its version.
    """
    unusable = [image for image in THIRD_PARTY if not is_usable(image)]
    pullable = [image for image in unusable if image != NODE_IMAGE]
    for image in pullable or unusable[:1]:
        if not engine.pull(image, log):
            log("no registry serves it: building images offline")
            return [image for image in unusable if not is_usable(image)]
    return []


def programs_for(images: Iterable[str]) -> list[str]:
    """Return the programs that `images` contain."""
    return [name for image in images for name in BY_IMAGE[image].programs]


def build(image: str, log: Log) -> None:
    """Build `image` offline, its bases first; raise CommandError on failure."""
    item = BY_IMAGE[image]
    for base in item.bases:
        if not is_usable(base):
            build(base, log)
    if item.host_program:
        host.ensure_program(item.host_program, log, *item.host_packages)
    with tempfile.TemporaryDirectory(prefix="voicesession-") as folder:
        context = Path(folder) / item.folder
        shutil.copytree(IMAGES / item.folder, context)
        _add_ca_and_programs(item, context)
        _build_in(item, context, log)


def _add_ca_and_programs(item: OfflineImage, context: Path) -> None:
    if item.has_ca:
        shutil.copy(host_ca(), context / CA_FILE)
    if item.programs:
        (context / "programs").mkdir()
    for name in item.programs:
        shutil.copy(BIN / name, context / "programs" / name)


def _build_in(item: OfflineImage, context: Path, log: Log) -> None:
    docker, value = engine.client(), stamp(item)
    log(f"[{item.image}] building offline")
    if (context / "build.sh").exists():
        env = {
            "DOCKER": docker,
            "IMAGE": item.image,
            "STAMP_LABEL": STAMP_LABEL,
            "STAMP": value,
            "KIND_VERSION": PROGRAM_VERSIONS["kind"],
        }
        run("bash", "build.sh", log=log, env=env, cwd=context)
        return
    build_image(item.image, context, log, "--label", f"{STAMP_LABEL}={value}")


def build_image(image: str, context: Path, log: Log, *options: str) -> None:
    """Run `docker build` with BuildKit for `image`; raise CommandError on failure."""

    def log_without_digests(text: str) -> None:
        if " sha256:" not in text:  # BuildKit repeats the digest of each step
            log(text)

    command = (engine.client(), "build", "--progress=plain", "-t", image, *options, str(context))
    run(*command, log=log_without_digests, env={"DOCKER_BUILDKIT": "1"})
