"""The images of this project: built on every run, quickly thanks to the layer cache."""

from dataclasses import dataclass
from pathlib import Path

from hack.cluster.constants import ROOT, VERSION
from hack.cluster.offline_images import build_image
from hack.cluster.process import Log


@dataclass(frozen=True)
class ProjectImage:
    """One image: its Dockerfile and build context, relative to the repository."""

    name: str
    dockerfile: str
    context: str

    @property
    def tag(self) -> str:
        """Return the full tag, such as voicesession/operator:0.1.0."""
        return f"voicesession/{self.name}:{VERSION}"


AGENT = ProjectImage("agent", "agent/Dockerfile", ".")
# in build order: the last three are based on the agent image
PROJECT_IMAGES = (
    ProjectImage("operator", "operator/Dockerfile", "."),
    AGENT,
    ProjectImage("gateway", "gateway/Dockerfile", "."),
    ProjectImage("scripted-llm", "examples/scripted-llm/Dockerfile", "."),
    ProjectImage("own-agent", "examples/own-agent/Dockerfile", "examples/own-agent"),
    ProjectImage("fake-agent", "hack/images/fake-agent/Dockerfile", "hack/images/fake-agent"),
    ProjectImage("trial-agent", "hack/images/trial-agent/Dockerfile", "hack/images/trial-agent"),
)


def build_all(log: Log) -> None:
    """Build every image; raise CommandError at the first failure."""
    for count, item in enumerate(PROJECT_IMAGES, 1):
        log(f"[{count}/{len(PROJECT_IMAGES)}] {item.tag}")
        build_image(item.tag, Path(ROOT / item.context), log, "-f", str(ROOT / item.dockerfile))
