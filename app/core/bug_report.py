"""A log as it may be shown to strangers: without prompts, names, paths, addresses and keys.

Nothing is kept because it looks harmless; only what is known to be Garret's own is kept: log lines
in our format, frames of our own code in tracebacks, and lines of llama.cpp. In what is kept, quoted
texts, paths, file names, addresses, keys and the user's name are taken out. Messages of exceptions
that are not ours are dropped whole, because they may quote anything.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Mapping

from app.core.logs import redacted

MAX_LINES = 300
_MAX_CHARS = 400
_OURS = re.compile(
    r"(?P<head>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:DEBUG|INFO|WARNING|ERROR|CRITICAL) "
    r"[\w.]{1,80}:)(?P<message>.*)"
)
_ENGINE = re.compile(
    r"(?:llama|ggml|load|print|common|sched|graph|kv|clip|gguf|system|build|sampler|set|init|"
    r"create|reserve|done|register|encode|decode|device|dev|model|context|main|Metal|CUDA|Vulkan)"
    r"[\w]{0,60}:\s"
)
_KV_DUMP = re.compile(r"llama_model_loader: - kv\s")  # the model's own texts, its template too
_FRAME = re.compile(r'\s*File "(?P<path>[^"]*)", line (?P<line>\d+), in (?P<name>[\w<>.]+)\s*')
_OWN_CODE = re.compile(r"(?:^|[/\\])((?:app|site-packages)[/\\][\w./\\-]+\.py)$")
_RAISED = re.compile(r"(?P<type>[A-Za-z_]\w*(?:\.\w+)*)(?::|$)")
_PACKAGES = {
    "app", "asyncio", "concurrent", "http", "httpcore", "httpcore2", "httpx", "httpx2", "jinja2",
    "json", "huggingface_hub", "llama_cpp", "numpy", "psutil", "qasync", "socket", "sqlite3",
    "ssl", "starlette", "subprocess", "urllib", "uvicorn",
}  # fmt: skip
_QUOTED = re.compile(r"“[^”]*”|‘[^’]*’|«[^»]*»|`[^`]*`|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_OPEN_QUOTE = re.compile(r"[“«`\"].*|(?<![A-Za-z])'.*")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S+|\bwww\.\S+", re.IGNORECASE)
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_IP = re.compile(
    r"\b(?!127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f:]+\b"
)
_JSON = re.compile(r"[{\[].*")  # a body somebody logged
_FULL_PATH = re.compile(r"(?<!\S)[(<=:]?(?:~?/|[A-Za-z]:[/\\]|\\\\).*")  # it may hold spaces
_PATH = re.compile(r"\S*[/\\]\S*")
_FILE = re.compile(r"\b[\w-][\w.-]*\.(?!gguf\b)[A-Za-z][A-Za-z0-9]{0,5}\b(?!\.)")
_LONG = re.compile(r"\b[A-Za-z0-9_+=-]{28,}\b")  # tokens, hashes, anything packed


def scrubbed(lines: Iterable[str], private: Iterable[str] = ()) -> list[str]:
    """The newest lines that may be shown; what was left out is counted.

    Args:
        private: words to take out wherever they stand: the user's name, the computer's.
    """
    words = sorted({word for word in private if len(word) >= 3}, key=len, reverse=True)
    names = re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None
    kept: list[str] = []
    dropped = 0
    after_frame = False
    for line in list(lines)[-MAX_LINES:]:
        clean, after_frame = _clean(line.rstrip("\r\n"), names, after_frame=after_frame)
        if clean is None:
            dropped += 1
            continue
        if dropped:
            kept.append(_left_out(dropped))
            dropped = 0
        kept.append(clean)
    if dropped:
        kept.append(_left_out(dropped))
    return kept


def bug_report(
    facts: Mapping[str, str], logs: Mapping[str, Iterable[str]], private: Iterable[str] = ()
) -> str:
    """What goes onto the clipboard. `facts` are ours (version, system) and stand as they are."""
    parts = ["\n".join(f"{name}: {value}" for name, value in facts.items())]
    hidden = tuple(private)
    for name, lines in logs.items():
        shown = scrubbed(lines, hidden) or ["(empty)"]
        parts.append("\n".join([f"--- {name}", *shown]))
    return "\n\n".join(parts) + "\n"


def _clean(
    line: str, names: re.Pattern[str] | None, *, after_frame: bool
) -> tuple[str | None, bool]:
    """One line fit to be shown or None, and whether a line of our own code comes next."""
    if not line.strip():
        return None, False
    if match := _OURS.fullmatch(line):
        return f"{match['head']}{_words(match['message'], names)}", False
    if match := _FRAME.fullmatch(line):
        own = _OWN_CODE.search(match["path"])
        if own is None:
            return None, False
        place = own[1].replace("\\", "/")
        return f'  File "{place}", line {match["line"]}, in {match["name"]}', True
    if after_frame and line.startswith("    "):
        return None, False  # source lines are in the repository; what follows is not ours to judge
    if line.startswith("Traceback (most recent call last)"):
        return "Traceback (most recent call last):", False
    match = _RAISED.match(line)
    if match is not None and _is_known(match["type"]):
        kind = match["type"]
        if kind.startswith("app.core.errors."):
            return f"{kind}:{_words(line[match.end() :], names)}", False
        return f"{kind}: [message removed]", False
    if _ENGINE.match(line) and not _KV_DUMP.match(line):
        return _words(line, names), False
    return None, False


def _is_known(kind: str) -> bool:
    """Whether this names an exception, and is not just a word before a colon."""
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, BaseException):
        return True
    return "." in kind and kind.partition(".")[0] in _PACKAGES


def _words(text: str, names: re.Pattern[str] | None) -> str:
    text = redacted(text)
    text = _ADDRESS.sub("[address]", text)
    text = _QUOTED.sub("[text]", text)
    text = _OPEN_QUOTE.sub("[text]", text)
    text = _JSON.sub(lambda found: _kept_marks(found[0]), text)
    text = _MAIL.sub("[address]", text)
    text = _IP.sub("[address]", text)
    text = _FULL_PATH.sub("[path]", text)
    text = _PATH.sub("[path]", text)
    text = _FILE.sub("[file]", text)
    text = _LONG.sub("[removed]", text)
    if names is not None:
        text = names.sub("[name]", text)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"


def _kept_marks(text: str) -> str:
    """Our own marks stay; any other bracket opens something that is not to be shown."""
    found = re.match(r"\[(?:text|address|removed)\]", text)
    if found is None:
        return "[data]"
    rest = text[found.end() :]
    return found[0] + _JSON.sub(lambda more: _kept_marks(more[0]), rest)


def _left_out(count: int) -> str:
    return f"[{count} line{'s' * (count > 1)} left out]"
