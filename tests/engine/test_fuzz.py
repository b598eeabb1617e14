"""A small share of scripts/fuzz_engine.py: headers, templates and bodies, always the same ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

from scripts.fuzz_engine import fuzz


def test_seeded_nonsense_is_answered_or_refused(tmp_path: Path) -> None:
    outcome = asyncio.run(fuzz(tmp_path, 45, seed=7))
    assert outcome.faults == []
    assert sum(outcome.counts.values()) == 45
    assert {count.split(":")[0] for count in outcome.counts} == {"header", "template", "body"}
