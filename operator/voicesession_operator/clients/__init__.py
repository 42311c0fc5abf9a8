"""Clients of external systems: LiveKit, Letta, agent pods and Kubernetes events."""
