"""Separates reasoning from the answer where a model writes both into one text."""

from __future__ import annotations

from app.engine.chat.parsing.events import OutputParser, held_back
from app.engine.chat.values import ParseEvent, ThinkingPiece

TAGS = {
    "<think>": "</think>",
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "<thinking>": "</thinking>",
    "<|channel>thought": "<channel|>",
}


class ThinkingSplitter:
    """Passes what follows the reasoning on to the next parser.

    Reasoning is looked for only where an answer begins. `inside` says that the prompt already
    opened it. `enders` are texts that end reasoning without a closing tag.
    """

    def __init__(
        self, following: OutputParser, *, inside: bool = False, enders: tuple[str, ...] = ()
    ) -> None:
        self._following = following
        self._state = "thinking" if inside else "start"
        self._closers: tuple[str, ...] = tuple(TAGS.values()) if inside else ()
        self._enders = enders
        self._buffer = ""
        self._spoke = False

    def feed(self, text: str) -> list[ParseEvent]:
        if self._state == "answer":
            return self._following.feed(text)
        self._buffer += text
        return self._run(final=False)

    def finish(self, *, truncated: bool = False) -> list[ParseEvent]:
        events = self._run(final=True) if self._state != "answer" else []
        return [*events, *self._following.finish(truncated=truncated)]

    def _run(self, *, final: bool) -> list[ParseEvent]:
        if self._state == "start":
            body = self._buffer.lstrip()
            tag = next((tag for tag in TAGS if body.startswith(tag)), None)
            if tag is not None:
                self._state, self._closers = "thinking", (TAGS[tag],)
                self._buffer = body[len(tag) :]
            elif not final and any(tag.startswith(body) for tag in TAGS):
                return []
            else:
                return self._answer(self._buffer)
        return self._gap(final=final) if self._state == "gap" else self._think(final=final)

    def _think(self, *, final: bool) -> list[ParseEvent]:
        if not self._spoke:
            self._buffer = self._buffer.lstrip("\n")
        ends = [
            (at, len(tag) if tag in self._closers else 0)
            for tag in (*self._closers, *self._enders)
            if (at := self._buffer.find(tag)) >= 0
        ]
        if ends:
            at, size = min(ends)
            events = self._thought(self._buffer[:at].rstrip())
            rest = self._buffer[at + size :]
            self._state, self._buffer = "gap", rest
            return [*events, *self._gap(final=final)]
        keep = 0
        if not final:
            held = held_back(self._buffer, (*self._closers, *self._enders))
            sure = self._buffer[: len(self._buffer) - held].rstrip()
            keep = len(self._buffer) - len(sure)
        sure = self._buffer[: len(self._buffer) - keep]
        self._buffer = self._buffer[len(self._buffer) - keep :]
        return self._thought(sure.rstrip() if final else sure)

    def _gap(self, *, final: bool) -> list[ParseEvent]:
        """White space between reasoning and answer belongs to neither."""
        body = self._buffer.lstrip()
        if not body and not final:
            self._buffer = ""
            return []
        return self._answer(body)

    def _thought(self, text: str) -> list[ParseEvent]:
        if not text:
            return []
        self._spoke = True
        return [ThinkingPiece(text)]

    def _answer(self, text: str) -> list[ParseEvent]:
        self._state, self._buffer = "answer", ""
        return self._following.feed(text) if text else []
