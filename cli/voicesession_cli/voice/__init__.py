"""The voice client of `talk`: LiveKit access, audio, transcript and speech recognition."""
