"""Pure decisions: what is observed goes in, what is to be done comes out. No I/O, no clock."""
