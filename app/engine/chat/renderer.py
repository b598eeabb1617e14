"""Renders chat templates in a child process with a wall-clock limit.

A template is code from a stranger: on jinja2 3.1.6 `{{ 9**(9**9) }}` burns minutes inside one C
call that no signal handler or thread interrupts, so every template runs where it can be killed.
A template that ran into the limit is refused at once for a while, instead of again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.core.errors import BadChatTemplate

RENDER_LIMIT_S = 3.0
START_LIMIT_S = 30.0
REFUSAL_KEPT_S = 30.0


class TemplateRefused(Exception):
    """The template itself does not accept this conversation; the message is its own words."""


class TemplateRenderer:
    """One child process, started when first needed and again after it was killed. Thread-safe.

    Args:
        limit_s: seconds one rendering may take.
        command: how to start the child; the default fits source and frozen installations.
    """

    def __init__(
        self, *, limit_s: float = RENDER_LIMIT_S, command: Sequence[str] | None = None
    ) -> None:
        self._limit_s = limit_s
        self._command = list(command or _child_command())
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._warm = False
        self._refused: dict[str, tuple[float, str]] = {}

    async def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The prompt text.

        Raises:
            TemplateRefused: the template called raise_exception.
            BadChatTemplate: it failed, tried something forbidden, or took too long.
        """
        return await asyncio.to_thread(self.render_now, template, context)

    def render_now(self, template: str, context: Mapping[str, Any]) -> str:
        """The same for callers that are already on a thread of their own."""
        self._check_refused(template)
        request = json.dumps({"template": template, "context": context}, ensure_ascii=False).encode(
            "utf-8", "replace"
        )
        with self._lock:
            reply = self._exchange(template, request)
        if isinstance(text := reply.get("text"), str):
            return text
        if isinstance(raised := reply.get("raised"), str):
            raise TemplateRefused(raised)
        raise BadChatTemplate(
            "The model's chat template failed.",
            "Choose another file of this model.",
            reason=str(reply.get("error", "")),
        )

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            self._end_child()

    def _check_refused(self, template: str) -> None:
        known = self._refused.get(template)
        if known is None:
            return
        until, reason = known
        if time.monotonic() < until:
            raise _too_slow(reason)
        del self._refused[template]

    def _exchange(self, template: str, request: bytes) -> dict[str, Any]:
        child = self._running_child()
        expired = threading.Event()

        def kill() -> None:
            expired.set()
            child.kill()

        clock = threading.Timer(self._limit_s if self._warm else START_LIMIT_S, kill)
        clock.daemon = True
        clock.start()
        try:
            reply = _talk(child, request)
        finally:
            clock.cancel()
        if reply is not None:
            return reply
        self._end_child()
        reason = "took too long" if expired.is_set() else "ended its process"
        self._refused[template] = (time.monotonic() + REFUSAL_KEPT_S, reason)
        raise _too_slow(reason)

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end_child()
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_child_environment(),
            close_fds=True,
            start_new_session=os.name == "posix",
        )
        # The first answer includes the interpreter's start; the template's own limit comes after.
        self._warm = False
        clock = threading.Timer(START_LIMIT_S, self._child.kill)
        clock.daemon = True
        clock.start()
        try:
            hello = _talk(self._child, b'{"template": "", "context": {}}')
        finally:
            clock.cancel()
        if hello is None:
            self._end_child()
            raise BadChatTemplate(
                "The process that renders chat templates did not start.", "Restart Garret."
            )
        self._warm = True
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        child.wait()


def _talk(child: subprocess.Popen[bytes], request: bytes) -> dict[str, Any] | None:
    """One exchange; None when the child is gone."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(struct.pack(">I", len(request)) + request)
        child.stdin.flush()
        header = child.stdout.read(4)
        if len(header) < 4:
            return None
        (size,) = struct.unpack(">I", header)
        body = child.stdout.read(size)
    except (OSError, ValueError):
        return None
    if len(body) < size:
        return None
    reply: dict[str, Any] = json.loads(body)
    return reply


def _too_slow(reason: str) -> BadChatTemplate:
    return BadChatTemplate(
        f"The model's chat template {reason} and was stopped.",
        "Choose another file of this model.",
        reason=reason,
    )


def _child_command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, "_render"]
    return [sys.executable, "-m", "app.engine.chat.render_child"]


def _child_environment() -> dict[str, str]:
    keep = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "TEMP", "TMP", "LD_LIBRARY_PATH")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    root = Path(__file__).resolve().parents[3]
    return {**environment, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
