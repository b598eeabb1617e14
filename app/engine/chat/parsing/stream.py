"""Finds tool calls in a growing text, whichever of the known ways they are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.engine.chat.parsing.events import Triggers
from app.engine.chat.parsing.readers import Part, Reader
from app.engine.chat.values import (
    CallArguments,
    CallBegan,
    CallEnded,
    ParseEvent,
    TextPiece,
)

MAX_CALLS = 64


@dataclass(frozen=True, slots=True)
class Syntax:
    """A way of writing calls: the text that begins one, and who reads on from there.

    `at_line_start` triggers count only at the beginning of a line.
    """

    trigger: str
    reader: Callable[[], Reader]
    at_line_start: bool = False


class ToolStream:
    """Splits prose from calls.

    Args:
        syntaxes: what to look for.
        bare: who reads an answer that begins with `{` or `[`; None for nobody.
        noise: texts that mean nothing to the client, such as stray control tokens.
    """

    def __init__(
        self,
        syntaxes: Sequence[Syntax],
        *,
        bare: Callable[[], Reader] | None = None,
        noise: Sequence[str] = (),
    ) -> None:
        self._by_trigger = {syntax.trigger: syntax for syntax in syntaxes}
        self._triggers = Triggers((*self._by_trigger, *noise))
        self._bare = bare
        self._buffer = ""
        self._reader: Reader | None = None
        self._trigger = ""
        self._committed = False
        self._at_start = True  # nothing but white space so far, or since the last call
        self._line_start = True
        self._index = -1

    def feed(self, text: str) -> list[ParseEvent]:
        self._buffer += text
        return self._run(final=False, truncated=False)

    def finish(self, *, truncated: bool = False) -> list[ParseEvent]:
        return self._run(final=True, truncated=truncated)

    def _run(self, *, final: bool, truncated: bool) -> list[ParseEvent]:
        out: list[ParseEvent] = []
        while True:
            if self._reader is None:
                if not self._scan(out, final=final):
                    return out
                continue
            step = self._reader.read(self._buffer, final=final, truncated=truncated)
            self._commit(step.parts, out)
            self._buffer = self._buffer[step.used :]
            if step.status == "more" and (step.used or step.parts):
                continue
            if step.status == "more" and not final:
                return out
            self._leave(out, failed=not self._committed)

    def _leave(self, out: list[ParseEvent], *, failed: bool) -> None:
        self._reader = None
        if failed:
            if self._trigger:
                self._text(self._trigger, out)
            else:
                self._text(self._buffer[:1], out)
                self._buffer = self._buffer[1:]
        else:
            self._at_start = True

    def _commit(self, parts: Sequence[Part], out: list[ParseEvent]) -> None:
        for kind, payload in parts:
            self._committed = True
            if kind == "begin":
                self._index += 1
                out.append(CallBegan(self._index, payload))
            elif kind == "arguments":
                if payload:
                    out.append(CallArguments(self._index, payload))
            else:
                out.append(CallEnded(self._index))

    def _scan(self, out: list[ParseEvent], *, final: bool) -> bool:
        """Passes text on up to the next trigger; False when the buffer has nothing more to say."""
        if self._at_start and self._index < MAX_CALLS:
            body = self._buffer.lstrip()
            if not body and not final:
                return False
            if not body:
                rest, self._buffer = self._buffer, ""
                if self._index < 0:
                    self._text(rest, out)
                return False
            if self._bare is not None and body[0] in "{[" and not self._triggers.at_start(body):
                if not final and self._triggers.may_begin(body):
                    return False
                if self._index < 0:
                    self._text(self._buffer[: len(self._buffer) - len(body)], out)
                self._buffer = body
                self._enter("", self._bare())
                return True
        found = self._triggers.find(self._buffer)
        if found is None:
            keep = 0 if final else self._triggers.held(self._buffer)
            self._text(self._buffer[: len(self._buffer) - keep], out)
            self._buffer = self._buffer[len(self._buffer) - keep :]
            return False
        at, trigger = found
        before = self._buffer[:at]
        rest = self._buffer[at + len(trigger) :]
        syntax = self._by_trigger.get(trigger)
        if syntax is None:
            self._text(before, out)
            self._buffer = rest
            return True
        if self._index + 1 >= MAX_CALLS or not self._allowed(syntax, before):
            self._text(before + trigger, out)
            self._buffer = rest
            return True
        self._text(before, out)
        self._buffer = rest
        self._enter(trigger, syntax.reader())
        return True

    def _enter(self, trigger: str, reader: Reader) -> None:
        self._reader, self._trigger, self._committed = reader, trigger, False

    def _allowed(self, syntax: Syntax, before: str) -> bool:
        if not syntax.at_line_start:
            return True
        line = before.rpartition("\n")[2]
        return not line.strip() and ("\n" in before or self._line_start)

    def _text(self, text: str, out: list[ParseEvent]) -> None:
        if not text:
            return
        if self._at_start and self._index >= 0:
            text = text.lstrip()
            if not text:
                return
        if text.strip():
            self._at_start = False
        line = text.rpartition("\n")[2]
        self._line_start = not line.strip() and ("\n" in text or self._line_start)
        out.append(TextPiece(text))
