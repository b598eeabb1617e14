"""The app's own log: one rotating file, no prompts, no keys."""

from __future__ import annotations

import logging
import logging.handlers
import re
from pathlib import Path

_MAX_BYTES = 2 * 1024 * 1024
_SECRET = re.compile(
    r"(?i)(bearer\s+|(?:x-api-key|api[_-]?key|token)[\"']?\s*[:=]\s*[\"']?)[A-Za-z0-9_\-.]{8,}"
    r"|\b(?:hf_|sk-)[A-Za-z0-9_\-]{8,}"
)


def redacted(text: str) -> str:
    """The text with anything that looks like a key replaced."""
    return _SECRET.sub(lambda match: f"{match.group(1) or ''}[removed]", text)


class RedactingFormatter(logging.Formatter):
    """Formats as usual, then takes out keys, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def log_to_file(folder: Path, name: str = "garret.log") -> None:
    """Sends everything from INFO up to a file of at most 4 MB in two parts."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = logging.handlers.RotatingFileHandler(
        folder / name, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8", delay=True
    )
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    # httpx writes a line per request
    logging.getLogger("httpx").setLevel(logging.WARNING)
