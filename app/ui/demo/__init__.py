"""The demo page: cards, a run on stage, and what just happened."""
