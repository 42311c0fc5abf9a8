"""Growth over time: a straight line by least squares."""

from collections.abc import Sequence

HOUR_SECONDS = 3600


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Change of the value per unit of time; 0 where there is nothing to fit."""
    if len(times) < 2:
        return 0.0
    mean_time, mean_value = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - mean_time) ** 2 for t in times)
    if spread == 0:
        return 0.0
    return sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values, strict=True)) / spread


def growth_per_hour(times: Sequence[float], values: Sequence[float]) -> float:
    """Percent of the mean that the fitted line rises in an hour; times are in seconds."""
    mean = sum(values) / len(values) if values else 0.0
    return 100 * slope(times, values) * HOUR_SECONDS / mean if mean else 0.0
