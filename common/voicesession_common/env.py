"""Readers of environment variables for the settings of each program."""

from collections.abc import Mapping
from typing import Final

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


class SettingsError(Exception):
    """A setting is missing or invalid; the message is one line and names the variable."""


def read_required(env: Mapping[str, str], name: str) -> str:
    """Return the value; raise SettingsError if it is missing or empty."""
    value = env.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def read_url(env: Mapping[str, str], name: str) -> str:
    """Return a required HTTP or WebSocket URL."""
    value = read_required(env, name)
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise SettingsError(f"{name} must begin with http://, https://, ws:// or wss://, not {value!r}")
    return value


def read_http_url(env: Mapping[str, str], name: str) -> str:
    """Return an HTTP URL, or an empty string if the variable is not set."""
    value = env.get(name, "").strip()
    if value and not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must begin with http:// or https://, not {value!r}")
    return value


def read_float(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """Return a number from `low` to `high`, or `default` if the variable is not set."""
    text = env.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        raise SettingsError(f"{name} must be a number, not {text!r}") from None
    if not low <= value <= high:
        raise SettingsError(f"{name} must be between {low:g} and {high:g}, not {text}")
    return value


def read_choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return one of the allowed values, or `default` if the variable is not set."""
    value = env.get(name, "").strip() or default
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    return value


def read_list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the comma-separated parts, without blanks and empty parts."""
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())
