"""The custom resources as Python values: names, conditions, parsed specs and status. Standard library only."""
