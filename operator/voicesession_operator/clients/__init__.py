"""Everything that talks to the outside: Kubernetes, LiveKit, Letta and the agent pod."""
