"""Speech engines: factories for providers by name, and the embedded offline ones."""
