"""Pure decisions about sessions and agents, from stored objects, observations and time. No I/O and no clock."""
