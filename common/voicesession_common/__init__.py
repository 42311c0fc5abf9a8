"""What the programs share: the API types, the Kubernetes client, logs and spans."""
