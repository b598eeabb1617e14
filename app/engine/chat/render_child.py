"""The process in which chat templates run, so that a hostile one can be killed.

Frames on stdin and stdout are a 4-byte big-endian length and that many bytes of UTF-8 JSON:
`{"template": …, "context": {…}}` is answered by `{"text": …}`, `{"raised": …}` (the template
itself refused the conversation) or `{"error": …}`. End of input ends the process.

Nothing here imports more of the app: this process holds no secrets and no sockets.
"""

from __future__ import annotations

import importlib
import json
import struct
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, BinaryIO

import jinja2
import jinja2.nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

resource: ModuleType | None
try:
    resource = importlib.import_module("resource")
except ImportError:  # Windows: the parent's wall-clock limit is the only one
    resource = None

MAX_OUTPUT_CHARS = 32_000_000
MEMORY_LIMIT_BYTES = 1 << 30
CPU_LIMIT_S = 6
_COMPILED_KEPT = 16


class TemplateRefusal(Exception):
    """The template called raise_exception: it does not accept this conversation."""


class _GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}`, a training mark: its body passes through."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> jinja2.nodes.Node | list[jinja2.nodes.Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _raise(message: object = "") -> None:
    raise TemplateRefusal(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now(tz=UTC).astimezone().strftime(pattern)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Hugging Face's templates expect it: no HTML escapes, unlike Jinja's own filter."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def make_environment() -> ImmutableSandboxedEnvironment:
    """The environment that chat templates are written for, locked down."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationTag]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _strftime_now
    return environment


class TemplateRunner:
    """Compiles and renders; the templates compiled last are kept."""

    def __init__(self) -> None:
        self._environment = make_environment()
        self._compiled: dict[str, jinja2.Template] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; never raises for anything a template can do."""
        try:
            return {"text": self._render(str(request["template"]), request["context"])}
        except TemplateRefusal as refusal:
            return {"raised": str(refusal)[:500]}
        except (
            jinja2.TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            return {"error": f"{type(error).__name__}: {error}"[:500]}

    def _render(self, source: str, context: dict[str, Any]) -> str:
        template = self._compiled.get(source)
        if template is None:
            template = self._environment.from_string(source)
            if len(self._compiled) >= _COMPILED_KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[source] = template
        parts: list[str] = []
        size = 0
        for part in template.generate(**context):
            size += len(part)
            if size > MAX_OUTPUT_CHARS:
                raise ValueError("the rendered prompt is too long")
            parts.append(part)
        return "".join(parts)


def _limit_memory() -> None:
    if resource is None:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # macOS accepts but does not enforce it; the parent's clock ends the process there.
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > MEMORY_LIMIT_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, hard))


def _limit_cpu() -> None:
    """The kernel ends a render that outlives its parent, even inside one long C call."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime) + CPU_LIMIT_S
    resource.setrlimit(
        resource.RLIMIT_CPU,
        (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard),
    )


def serve(source: BinaryIO, sink: BinaryIO, before_each: Callable[[], None] = lambda: None) -> None:
    """Answers frames until the input ends."""
    runner = TemplateRunner()
    while header := source.read(4):
        (size,) = struct.unpack(">I", header)
        request = json.loads(source.read(size))
        before_each()
        reply = json.dumps(runner.answer(request), ensure_ascii=False).encode("utf-8", "replace")
        sink.write(struct.pack(">I", len(reply)) + reply)
        sink.flush()


def main(argv: Sequence[str] = ()) -> int:
    """Entry point of `garret _render` and `python -m app.engine.chat.render_child`."""
    del argv
    _limit_memory()
    serve(sys.stdin.buffer, sys.stdout.buffer, _limit_cpu)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
