"""`garret agent` in a terminal: it asks, and Ctrl-C at the question ends the run."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.scenarios import CODE, DONE, FIXED, Reply
from tests.scripted_openai import ScriptedOpenAIServer

EDIT = Reply(
    "I mend the sign.",
    [
        ("read_file", {"file_path": "calc.py"}),
        ("edit", {"file_path": "calc.py", "old_string": "a - b", "new_string": "a + b"}),
    ],
)
ROOT = Path(__file__).parents[2]


class Terminal:
    """A child process in a pseudo-terminal."""

    def __init__(self, tmp_path: Path, base_url: str) -> None:
        (tmp_path / "project").mkdir()
        self.file = tmp_path / "project" / "calc.py"
        self.file.write_text(CODE)
        self._screen, inner = pty.openpty()
        where = ["--workspace", str(self.file.parent), "--base-url", base_url]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "agent", *where, "--mode", "ask", "Mend it."],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "GARRET_HOME": str(tmp_path / "garret"), "PYTHONPATH": str(ROOT)},
        )
        os.close(inner)
        self.seen = ""

    def wait_for(self, text: str, timeout_s: float = 40.0) -> None:
        until = time.monotonic() + timeout_s
        while text not in self.seen and time.monotonic() < until:
            ready, _, _ = select.select([self._screen], [], [], 0.2)
            if ready:
                try:
                    self.seen += os.read(self._screen, 65_536).decode("utf-8", "replace")
                except OSError:  # the child closed its end
                    break
        assert text in self.seen, self.seen

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_an_edit_is_shown_and_made_only_after_a_yes(
    tmp_path: Path, answer: str, written: bool
) -> None:
    with ScriptedOpenAIServer([EDIT, DONE]) as server:
        terminal = Terminal(tmp_path, server.base_url)
        try:
            terminal.wait_for("[y/N]")
            assert "+    return a + b" in terminal.seen
            assert "Can be undone: yes" in terminal.seen
            terminal.type(answer)
            terminal.wait_for("tokens read")
            assert terminal.process.wait(10) == 0
        finally:
            terminal.close()
    assert terminal.file.read_text() == (FIXED if written else CODE)


def test_ctrl_c_at_the_question_denies_and_ends(tmp_path: Path) -> None:
    with ScriptedOpenAIServer([EDIT, DONE]) as server:
        terminal = Terminal(tmp_path, server.base_url)
        try:
            terminal.wait_for("[y/N]")
            terminal.process.send_signal(signal.SIGINT)
            terminal.wait_for("Stopped")
            assert terminal.process.wait(10) == 2
        finally:
            terminal.close()
    assert terminal.file.read_text() == CODE
