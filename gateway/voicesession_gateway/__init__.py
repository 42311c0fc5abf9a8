"""HTTP gateway for humans and back ends: LiveKit's token endpoint, a session API and the web page."""
