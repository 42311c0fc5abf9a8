"""The custom resources in Python: names, conditions and parsed specs. Standard library only."""
