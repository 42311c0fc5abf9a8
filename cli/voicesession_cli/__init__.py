"""The `voicesession` command: a headless person for a VoiceSession."""
