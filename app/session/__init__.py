"""One conversation or one agent run: ties client, agent and storage; knows no widget."""
