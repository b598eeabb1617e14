"""Writes the invitations."""

from guests import fetch_all


def invitations(text):
    """One line for each guest fetch_all finds."""
    return [f"Dear {name}, please come." for name in fetch_all(text)]
