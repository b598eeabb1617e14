"""Takes back what the agent did to a folder, without git."""
