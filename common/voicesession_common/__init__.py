"""Code that the programs share: API types, the Kubernetes client, settings, logs and spans."""

from typing import Any

JsonObject = dict[str, Any]
"""A JSON object as `json` parses it."""
