"""Draws a day of readings as text."""

BARS = " .:-=+*#"


def day(readings):
    low = min(celsius for _, celsius in readings)
    high = max(celsius for _, celsius in readings)
    span = high - low or 1
    return "".join(BARS[int((c - low) / span * (len(BARS) - 1))] for _, c in readings)
