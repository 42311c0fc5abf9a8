"""What a block of a test has added to the operator's metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

from voicesession_operator.metrics import REGISTRY

Labels = dict[str, str]


class Rise:
    """After the block: by how much a sample has risen."""

    def __init__(self) -> None:
        self._before = _samples()

    def of(self, sample: str, **labels: str) -> float:
        """0 for one that is not there, so that a wrong name never passes for no rise: ask for something that rose."""
        key = sample, tuple(sorted(labels.items()))
        return _samples().get(key, 0.0) - self._before.get(key, 0.0)


@contextmanager
def counted() -> Iterator[Rise]:
    yield Rise()


def value(sample: str, **labels: str) -> float:
    """A sample as it is now. Raises KeyError where there is none."""
    return _samples()[sample, tuple(sorted(labels.items()))]


def _samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
    }
