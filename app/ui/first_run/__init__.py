"""From the starter model to a good one, on the empty chat page."""
