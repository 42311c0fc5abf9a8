"""The project's own images: built every time, which the layer cache makes quick."""

from dataclasses import dataclass
from pathlib import Path

from hack.cluster.constants import ROOT, VERSION
from hack.cluster.offline_images import build_image
from hack.cluster.process import Line


@dataclass(frozen=True)
class OwnImage:
    """One image of ours: its Dockerfile and build context, both relative to the repository."""

    name: str
    dockerfile: str
    context: str

    @property
    def tag(self) -> str:
        """Return the full tag, such as voicesession/operator:0.1.0."""
        return f"voicesession/{self.name}:{VERSION}"


AGENT = OwnImage("agent", "agent/Dockerfile", ".")
# in build order: the last three are built on agent
OWN_IMAGES = (
    OwnImage("operator", "operator/Dockerfile", "."),
    AGENT,
    OwnImage("gateway", "gateway/Dockerfile", "."),
    OwnImage("scripted-llm", "examples/scripted-llm/Dockerfile", "."),
    OwnImage("own-agent", "examples/own-agent/Dockerfile", "examples/own-agent"),
    OwnImage("fake-agent", "hack/images/fake-agent/Dockerfile", "hack/images/fake-agent"),
    OwnImage("trial-agent", "hack/images/trial-agent/Dockerfile", "hack/images/trial-agent"),
)


def build_all(line: Line) -> None:
    """Build every image of ours; raises CommandError at the first that fails."""
    for count, item in enumerate(OWN_IMAGES, 1):
        line(f"[{count}/{len(OWN_IMAGES)}] {item.tag}")
        build_image(item.tag, Path(ROOT / item.context), line, "-f", str(ROOT / item.dockerfile))
