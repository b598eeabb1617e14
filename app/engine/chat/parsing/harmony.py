"""gpt-oss's Harmony: every message has a channel; calls are messages to a recipient."""

from __future__ import annotations

import re

from app.engine.chat.parsing.events import held_back
from app.engine.chat.values import (
    CallArguments,
    CallBegan,
    CallEnded,
    ParseEvent,
    TextPiece,
    ThinkingPiece,
)

_START, _CHANNEL, _MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>", _START)
_BODY_MARKS = (*_ENDS, _CHANNEL)
_LONGEST = max(map(len, _BODY_MARKS))
_RECIPIENT = re.compile(r"to=(\S+?)(?=\s|<\||$)")
_NAME = re.compile(r"\s*(\w+)")
MAX_HEADER_CHARS = 2000


class HarmonyParser:
    """Analysis is reasoning, final and plain commentary are prose, `to=functions.X` is a call."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._buffer = ""
        self._state = "open"  # open: before any mark; header; body
        self._kind = "text"
        self._index = -1
        self._body_started = False
        self._searched = 0

    def feed(self, text: str) -> list[ParseEvent]:
        self._buffer += text
        return self._run(final=False)

    def finish(self, *, truncated: bool = False) -> list[ParseEvent]:
        out = self._run(final=True)
        if self._state == "body" and self._kind == "call":
            if not truncated and not self._body_started:
                out.append(CallArguments(self._index, "{}"))
            out.append(CallEnded(self._index))
        elif self._state == "header" and self._buffer and not truncated:
            out.append(TextPiece(self._buffer))
        self._state, self._buffer = "open", ""
        return out

    def _run(self, *, final: bool) -> list[ParseEvent]:
        out: list[ParseEvent] = []
        while self._turn(out, final=final):
            pass
        return out

    def _turn(self, out: list[ParseEvent], *, final: bool) -> bool:
        if self._state == "header":
            at = self._buffer.find(_MESSAGE)
            if at < 0:
                if len(self._buffer) > MAX_HEADER_CHARS:
                    self._state, self._kind = "body", "text"
                    return True
                return False
            self._open_body(self._buffer[:at], out)
            self._buffer = self._buffer[at + len(_MESSAGE) :]
            return True
        marks = _BODY_MARKS if self._state == "open" else _ENDS
        places = ((self._buffer.find(mark, self._searched), mark) for mark in marks)
        found = [(at, mark) for at, mark in places if at >= 0]
        self._searched = 0
        if found:
            at, mark = min(found)
            self._say(self._buffer[:at], out)
            self._close_body(out)
            self._buffer = self._buffer[at + len(mark) :]
            if mark in (_START, _CHANNEL):
                self._state = "header"
                if mark == _CHANNEL:
                    self._buffer = _CHANNEL + self._buffer
            else:
                self._state = "open"
            return True
        keep = 0 if final else held_back(self._buffer, marks)
        if self._state == "open":  # white space between messages belongs to none
            sure = self._buffer[: len(self._buffer) - keep]
            keep += len(sure) - len(sure.rstrip())
        self._say(self._buffer[: len(self._buffer) - keep], out)
        self._buffer = self._buffer[len(self._buffer) - keep :]
        self._searched = max(0, len(self._buffer) - _LONGEST)  # the rest holds no whole mark
        return False

    def _open_body(self, header: str, out: list[ParseEvent]) -> None:
        self._state, self._body_started = "body", False
        _, _, channel = header.partition(_CHANNEL)
        recipient = _RECIPIENT.search(header)
        name = recipient.group(1).removeprefix("functions.") if recipient else ""
        if name in self._names:
            self._kind = "call"
            self._index += 1
            out.append(CallBegan(self._index, name))
            return
        word = _NAME.match(channel)
        self._kind = "thinking" if word and word.group(1) == "analysis" else "text"

    def _say(self, text: str, out: list[ParseEvent]) -> None:
        if not text:
            return
        if self._state == "open":
            if text := text.rstrip():
                out.append(TextPiece(text))
        elif self._kind == "call":
            if not self._body_started:
                text = text.lstrip()
            if text:
                self._body_started = True
                out.append(CallArguments(self._index, text))
        else:
            out.append(ThinkingPiece(text) if self._kind == "thinking" else TextPiece(text))

    def _close_body(self, out: list[ParseEvent]) -> None:
        if self._state == "body" and self._kind == "call":
            if not self._body_started:
                out.append(CallArguments(self._index, "{}"))
            out.append(CallEnded(self._index))
