"""The composition root: builds the objects and hands them to who needs them. No globals."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Opens the window."""
    raise NotImplementedError(argv)
