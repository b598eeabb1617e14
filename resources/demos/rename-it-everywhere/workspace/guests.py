"""The guest list."""


def fetch_all(text):
    """Names from a text, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]
