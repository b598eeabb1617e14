"""Numbers in plain words."""

from __future__ import annotations

from app.core.events import PromptProgress


def count_words(number: int) -> str:
    """12,400."""
    return f"{number:,}"


def short_count(number: int) -> str:
    """12.4k for gauges; exact below a thousand."""
    if number < 1_000:
        return str(number)
    if number < 100_000:
        return f"{number / 1_000:.1f}k".replace(".0k", "k")
    return f"{number / 1_000:.0f}k"


def duration_words(seconds: float) -> str:
    """A length of time as people say it: 0.4 s, 12 s, 3 min 5 s, 1 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, 3_600)
    return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"


def size_words(size_bytes: int) -> str:
    """Decimal units, as disks and downloads are sold: 98 MB, 46.4 GB."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            digits = 1 if unit == "GB" and value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
        value /= 1_000
    return f"{value:.1f} TB"


def speed_words(tokens_per_s: float) -> str:
    """38 tokens/s; one decimal below ten."""
    return f"{tokens_per_s:.1f} tokens/s" if tokens_per_s < 10 else f"{tokens_per_s:.0f} tokens/s"


def reading_words(progress: PromptProgress) -> str:
    """Reading 12,400 tokens: 62 %, 9 s left (11,900 reused)."""
    words = f"Reading {count_words(progress.total_tokens)} tokens"
    if progress.total_tokens > 0:
        words += f": {100 * progress.read_tokens // progress.total_tokens} %"
    left = progress.seconds_left
    if left is not None and left >= 1:
        words += f", {duration_words(round(left))} left"
    if progress.reused_tokens > 0:
        words += f" ({count_words(progress.reused_tokens)} reused)"
    return words
