"""Growth over time, by a least-squares line."""

from collections.abc import Sequence

HOUR_SECONDS = 3600


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the change of the value per unit of time; 0 without a spread of times."""
    if len(times) < 2:
        return 0.0
    mean_time, mean_value = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - mean_time) ** 2 for t in times)
    if spread == 0:
        return 0.0
    return sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values, strict=True)) / spread


def growth_per_hour(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the rise of the fitted line in an hour, in percent of the mean; times are in seconds."""
    mean = sum(values) / len(values) if values else 0.0
    return 100 * slope(times, values) * HOUR_SECONDS / mean if mean else 0.0
