"""Readers of one call each, for the ways models write them.

A reader gets the text after its trigger, which grows at the end, and says whether it needs more,
is done, or sees that this is no call. It consumes text only together with what it found in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.engine.chat.parsing.arguments_stream import ArgumentsStream
from app.engine.chat.parsing.events import held_back
from app.engine.chat.parsing.jsonish import (
    MAX_HEAD_CHARS,
    JsonScanner,
    arguments_json,
    calls_in,
    loads_tolerant,
    may_be_call,
)

_NAME_KEY = r'"(?:name|function|tool|tool_name|function_name)"'
_OTHER_KEYS = r'(?:"(?:type|id)"\s*:\s*"[^"\\]*"\s*,\s*)*'
_ARGUMENTS_KEY = r'"(?:arguments|parameters|args|input|params)"'
# a call up to its arguments' opening brace, of which it is certain that it holds something
_HEAD = re.compile(
    rf'\[?\s*\{{\s*{_OTHER_KEYS}{_NAME_KEY}\s*:\s*"(?P<name>[^"\\]+)"\s*,\s*'
    rf"{_ARGUMENTS_KEY}\s*:\s*(?=\{{\s*[\"'}}])"
)
_OBJECT = re.compile(r"\{\s*[\"'}]")
_LIST_END = re.compile(r"\s*\]")

Part = tuple[Literal["begin", "arguments", "end"], str]
MAX_NAME_CHARS = 300


@dataclass(frozen=True, slots=True)
class Step:
    """What a reader made of the text so far."""

    status: Literal["more", "done", "fail"]
    used: int = 0
    parts: list[Part] = field(default_factory=list)


class Reader(Protocol):
    """Reads from after a trigger to the end of what it began."""

    def read(self, text: str, *, final: bool, truncated: bool) -> Step: ...


MORE = Step("more")
FAIL = Step("fail")


@dataclass(frozen=True, slots=True)
class Offered:
    """The tools a parser may recognise: schemas of their parameters by name."""

    schemas: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.schemas)


def call_parts(calls: list[tuple[str, str]]) -> list[Part]:
    """A complete call, or several."""
    parts: list[Part] = []
    for name, arguments in calls:
        parts += [("begin", name), ("arguments", arguments), ("end", "")]
    return parts


def grow(arguments: ArgumentsStream, text: str, *, final: bool, truncated: bool) -> Step:
    """One step of a call whose arguments are passed on as they come.

    A bracket that is missing at the end is forgiven, an answer cut by its limit is not.
    """
    used, said = arguments.feed(text, final=final and not truncated)
    if arguments.ended:
        return Step("more", used, [("arguments", said), ("end", "")])
    if final:
        said += "" if truncated else arguments.close()
        return Step("done", len(text), [("arguments", said), ("end", "")])
    return Step("more", used, [("arguments", said)] if said else [])


class JsonReader:
    """JSON values, one call each or a list of calls, up to an optional closing tag.

    The arguments of a call that names its tool first are passed on while they grow; any other
    value is read when it is complete.
    """

    def __init__(self, tools: Offered, closers: tuple[str, ...] = ()) -> None:
        self._names = tools.names
        self._closers = closers
        self._scanner = JsonScanner()
        self._found = 0
        self._growing: ArgumentsStream | None = None
        self._rest: JsonScanner | None = None  # of an object whose arguments are complete
        self._in_list = False

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        if (begun := self._begun(text, final=final, truncated=truncated)) is not None:
            return begun
        start = len(text) - len(text.lstrip(" \t\r\n,;"))
        if start > MAX_HEAD_CHARS:  # white space for ever
            return self._no_call()
        if self._found and (after := self._after(text, start, final=final)) is not None:
            return after
        if start == len(text):
            return FAIL if final else MORE
        body = text[start:]
        if (head := self._head(body)) is not None:
            return Step("more", start + head.end(), [("begin", _bare(head["name"]))])
        likely = may_be_call(body)
        if likely is False or (likely is None and final and not truncated):
            return self._no_call()
        end = self._scanner.end(body)
        if end is None and not final:
            return MORE
        if end is None:
            return self._cut(body, truncated=truncated, used=len(text))
        self._scanner = JsonScanner()
        try:
            calls = calls_in(loads_tolerant(body[:end]), self._names)
        except ValueError:
            calls = None
        if calls is None:
            return self._no_call()
        self._found += 1
        return Step("more", start + end, call_parts(calls))

    def _head(self, body: str) -> re.Match[str] | None:
        """The head of a call that can be passed on from here."""
        head = _HEAD.match(body, 0, MAX_HEAD_CHARS)
        if head is None or _bare(head["name"]) not in self._names:
            return None
        self._found += 1
        self._growing = ArgumentsStream()
        self._in_list = self._in_list or body[0] == "["
        return head

    def _begun(self, text: str, *, final: bool, truncated: bool) -> Step | None:
        """Goes on with the call whose head was seen, if there is one."""
        if self._growing is not None:
            step = grow(self._growing, text, final=final, truncated=truncated)
            if self._growing.ended:
                self._growing, self._rest = None, JsonScanner(("}",))
            return step
        if self._rest is not None:
            if text.lstrip()[:1] in ("", ",", "}"):
                return self._past(self._rest, text, final=final)
            self._rest = None  # the model forgot the last bracket
        if self._in_list and (closed := _LIST_END.match(text)) is not None:
            self._in_list = False
            return Step("more", closed.end())
        return None

    def _past(self, rest: JsonScanner, text: str, *, final: bool) -> Step:
        """The end of an object after its arguments; whatever else it holds says nothing."""
        end = rest.end(text)
        if end is None and not final:
            return MORE
        self._rest = None
        return Step("done", len(text)) if end is None else Step("more", end)

    def _after(self, text: str, start: int, *, final: bool) -> Step | None:
        """What follows a call, unless it is another one."""
        rest = text[start:]
        for closer in self._closers:
            if rest.startswith(closer):
                return Step("done", start + len(closer))
        if not final and any(closer.startswith(rest) for closer in ("{", *self._closers)):
            return MORE
        if rest.startswith(("{", "[")):
            return None
        return Step("done", 0 if rest else start)

    def _no_call(self) -> Step:
        return Step("done") if self._found else FAIL

    def _cut(self, body: str, *, truncated: bool, used: int) -> Step:
        """The answer ended inside the value: a missing bracket is forgiven, a cut is not."""
        closing = self._scanner.closing()
        try:
            calls = calls_in(loads_tolerant(body + closing), self._names)
        except ValueError:
            calls = None
        if calls is None:
            return self._no_call()
        if truncated:
            name, arguments = calls[-1]
            cut = arguments.rstrip('"}]') if arguments != "{}" else "{"
            parts = call_parts(calls[:-1])
            return Step("done", used, [*parts, ("begin", name), ("arguments", cut), ("end", "")])
        return Step("done", used, call_parts(calls))


def _bare(name: str) -> str:
    return name.removeprefix("functions.")


class HeadedJsonReader:
    """A name in some header, then its arguments as JSON: Mistral, DeepSeek, Kimi, Functionary."""

    def __init__(
        self, tools: Offered, marks: tuple[str, ...], fillers: tuple[str, ...] = ()
    ) -> None:
        """`marks` separate the parts of the header; `fillers` may follow the arguments."""
        self._names = tools.names
        self._marks = re.compile("|".join(re.escape(mark) for mark in marks))
        self._fillers = ("```json", "```", *fillers)
        self._scanner = JsonScanner()
        self._found = False
        self._growing: ArgumentsStream | None = None

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        if self._growing is not None:
            step = grow(self._growing, text, final=final, truncated=truncated)
            if self._growing.ended:
                self._growing = None
            return step
        if self._found:
            return self._after(text, final=final)
        brace = text.find("{")
        if brace < 0:
            return MORE if not final and len(text) <= MAX_NAME_CHARS else FAIL
        if (name := self._name(text[:brace])) is None:
            return FAIL
        body = text[brace:]
        if _OBJECT.match(body):
            self._found = True
            self._growing = ArgumentsStream()
            return Step("more", brace, [("begin", name)])
        end = self._scanner.end(body)
        if end is None and not final:
            return MORE
        if end is None and truncated:
            return Step("done", len(text), [("begin", name), ("arguments", body), ("end", "")])
        written = body + self._scanner.closing() if end is None else body[:end]
        try:
            arguments = arguments_json(loads_tolerant(written))
        except ValueError:
            return FAIL
        self._found = True
        used = len(text) if end is None else brace + end
        return Step("more", used, call_parts([(name, arguments)]))

    def _name(self, head: str) -> str | None:
        pieces = [piece.strip() for piece in self._marks.split(head)]
        pieces += [line.strip() for piece in pieces for line in piece.splitlines()]
        for piece in pieces:
            bare = piece.removeprefix("functions.").split(":")[0]
            if bare in self._names:
                return bare
            if piece in self._names:
                return piece
        return None

    def _after(self, text: str, *, final: bool) -> Step:
        start = len(text) - len(text.lstrip())
        for filler in sorted(self._fillers, key=len, reverse=True):
            if text.startswith(filler, start):
                return Step("more", start + len(filler))
        rest = text[start:]
        if not final and any(filler.startswith(rest) for filler in self._fillers):
            return MORE
        return Step("done", start if rest else 0)


class UntilReader:
    """Waits for a closing tag and hands the text before it to a function.

    At the end of an answer that was not cut, a missing closing tag is forgiven.
    """

    def __init__(
        self,
        closers: tuple[str, ...],
        parse: Callable[[str], list[tuple[str, str]] | None],
        *,
        plausible: Callable[[str], bool] = lambda _text: True,
    ) -> None:
        self._closers = closers
        self._parse = parse
        self._plausible = plausible
        self._seen = 0

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        if not self._plausible(text):
            return FAIL
        places = ((text.find(closer, self._seen), closer) for closer in self._closers)
        found = [(at, closer) for at, closer in places if at >= 0]
        self._seen = max(0, len(text) - max(map(len, self._closers)))
        if found:
            at, closer = min(found)
            body, used = text[:at], at + len(closer)
        elif final and not truncated:
            body, used = text[: len(text) - held_back(text, self._closers)], len(text)
        else:
            return FAIL if final else MORE
        calls = self._parse(body)
        return FAIL if calls is None else Step("done", used, call_parts(calls))


class ChoiceReader:
    """Decides by the first characters which reader goes on: `<tool_call>` begins four formats."""

    def __init__(self, choose: Callable[[str, bool], Reader | None]) -> None:
        """`choose` gets the stripped text and whether it is all; it raises LookupError to wait."""
        self._choose = choose
        self._chosen: Reader | None = None

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        if self._chosen is None:
            stripped = text.lstrip()
            if not stripped:
                return FAIL if final else MORE
            try:
                self._chosen = self._choose(stripped, final)
            except LookupError:
                return FAIL if final else MORE
            if self._chosen is None:
                return FAIL
        return self._chosen.read(text, final=final, truncated=truncated)
