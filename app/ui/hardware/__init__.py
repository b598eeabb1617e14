"""The hardware page: what this machine has, and how models use its memory."""
