"""Training heads and encoders for a task: any head, any strategy, one recipe."""
