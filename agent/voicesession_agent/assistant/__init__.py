"""The built-in assistant, used by every VoiceAgent without an entry point of its own."""
