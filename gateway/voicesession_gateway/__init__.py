"""The people's way in: LiveKit's token endpoint, a session API, the page. Runs as a program of its own."""
