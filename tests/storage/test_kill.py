"""kill -9 at random moments; `scripts/soak_storage.py` does the same 300 times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts.soak_kills import soak
from scripts.soak_storage import kill_once


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_nothing_stored_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    tally = soak(kill_once, tmp_path, kills=3, seed=7)
    assert tally.problems == []
    assert tally.kills == 3
    assert tally.texts
