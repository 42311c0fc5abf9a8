"""The project's own images: built every time, which the layer cache makes quick."""

from dataclasses import dataclass
from pathlib import Path

from hack.cluster.names import ROOT, VERSION
from hack.cluster.process import Line
from hack.cluster.stand_ins import build_image


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
    OwnImage("scripted-llm", "demo/scripted-llm/Dockerfile", "."),
    OwnImage("own-agent", "examples/own-agent/Dockerfile", "examples/own-agent"),
    OwnImage("fake-agent", "tests/load/fake-agent/Dockerfile", "tests/load/fake-agent"),
    OwnImage("trial-agent", "tests/e2e/agents/Dockerfile", "tests/e2e/agents"),
)


def build_all(line: Line) -> None:
    """Build every image of ours; raises CommandError at the first that fails."""
    for count, item in enumerate(OWN_IMAGES, 1):
        line(f"[{count}/{len(OWN_IMAGES)}] {item.tag}")
        build_image(item.tag, Path(ROOT / item.context), line, "-f", str(ROOT / item.dockerfile))
