"""How fast main memory is read: measured when asked, and the best figure per processor kept.

One measurement on a busy machine says too little, so what is recommended would change from one
start to the next. Load can only make memory look slower, never faster: the best figure is right.
"""

from __future__ import annotations

import math
from pathlib import Path

from app.library import probes
from app.library.disk import read_json, write_json

_MOST_BYTES_S = 10e12
"""Beyond this a kept figure is damage, not memory."""


def ram_bandwidth_bytes_s(chip: str, kept: Path | None) -> float:
    """Bytes per second of this machine's memory; `kept` is the JSON file of best figures by chip.

    The file is a convenience: where it cannot be read or written, today's figure counts.
    """
    measured = probes.ram_bandwidth_bytes_s(chip)
    if kept is None:
        return measured
    best = _read(kept)
    if measured <= best.get(chip, 0.0):
        return best[chip]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, {**best, chip: measured}, durable=False)
    except OSError:
        return measured
    return measured


def _read(path: Path) -> dict[str, float]:
    data = read_json(path)
    if not isinstance(data, dict):
        return {}
    return {
        chip: float(value)
        for chip, value in data.items()
        if type(value) in (int, float) and math.isfinite(value) and 0 < value <= _MOST_BYTES_S
    }
