"""Speech engines: providers by name, and the embedded engines that work offline."""
