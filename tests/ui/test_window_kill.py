"""kill -9 of the window itself; `scripts/soak_window.py` does it 300 times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "soak_window.py"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
def test_nothing_on_screen_is_lost_when_the_window_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(SCRIPT), "--kills=2", "--seed=7", f"--folder={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert (result["kills"], result["problems"]) == (2, 0)
    assert result["messages_checked"] > 0
