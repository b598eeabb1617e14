"""The agent page: a folder, the run as a readable story, cards to decide on, changes to review."""
