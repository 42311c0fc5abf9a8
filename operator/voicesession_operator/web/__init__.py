"""The HTTP side: LiveKit webhooks, health and metrics."""
