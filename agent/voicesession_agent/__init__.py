"""The agent pod: a small supervisor and one livekit-agents job per conversation."""
