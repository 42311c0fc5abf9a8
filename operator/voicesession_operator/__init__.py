"""The operator: reconciles VoiceSessions and VoiceAgents against Kubernetes and LiveKit."""
