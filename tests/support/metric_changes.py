"""Changes of the operator's metrics during a block of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from voicesession_operator.metrics import REGISTRY

Labels = dict[str, str]


class Rise:
    """Increase of samples since the start of the block."""

    def __init__(self) -> None:
        self._before = _samples()

    def of(self, sample: str, **labels: str) -> float:
        """Return the increase of a sample; 0 if it does not exist, so assert increases to detect wrong names."""
        key = sample, tuple(sorted(labels.items()))
        return _samples().get(key, 0.0) - self._before.get(key, 0.0)


@contextmanager
def counted() -> Iterator[Rise]:
    yield Rise()


def value(sample: str, **labels: str) -> float:
    """Return the current value of a sample. Raise KeyError if it does not exist."""
    return _samples()[sample, tuple(sorted(labels.items()))]


def _samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
    }
