"""Finds whole files in an answer: fenced blocks and the paths written beside them.

Small models put the path above the fence, into its info string or into a first comment line, or
leave it out. A path is taken only where it is plain which file is meant.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_OPEN = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_PATHLIKE = re.compile(r"^[\w.@+-]+(?:/[\w.@+ -]+)*\.[A-Za-z0-9]{1,8}$")
_NAMELESS = {"Makefile", "Dockerfile", "LICENSE", "README"}
_LABEL = re.compile(r"^(?:file(?:name)?|path)\s*[:=]\s*", re.I)
_COMMENT = re.compile(
    r"^\s*(?:#|//|--|;|/\*|<!--)\s*(?:file(?:name)?\s*:\s*)?(\S+?)\s*(?:\*/|-->)?$", re.I
)
_DEFINED = re.compile(r"^\s*(?:async\s+)?(?:def|class|function)\s+(\w+)", re.MULTILINE)
PLACEHOLDER_PATH = "name_of_the_file.py"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `path` is "" where none was written, `closed` tells a cut-off one."""

    path: str
    content: str
    language: str = ""
    closed: bool = True


def blocks(text: str) -> list[Block]:
    """All fenced blocks with the path written beside each, in order."""
    lines = text.splitlines()
    found: list[Block] = []
    position = 0
    while position < len(lines):
        opening = _OPEN.match(lines[position])
        if opening is None:
            position += 1
            continue
        fence, info = opening.group(1), opening.group(2).strip()
        end = _closing(lines, position + 1, fence)
        content = lines[position + 1 : end]
        path = _path_in_info(info) or _path_above(lines, position)
        if not path and content and (comment := _COMMENT.match(content[0])):
            path = _as_path(comment.group(1))
            content = content[1:] if path else content
        found.append(
            Block(
                path,
                "\n".join(content) + ("\n" if content else ""),
                info.split()[0].lower() if info else "",
                end < len(lines),
            )
        )
        position = end + 1
    return found


def _closing(lines: Sequence[str], start: int, fence: str) -> int:
    for position in range(start, len(lines)):
        stripped = lines[position].strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            return position
    return len(lines)


def _path_in_info(info: str) -> str:
    for word in re.split(r"[\s:=]+", info.replace('"', " ").replace("'", " ")):
        if path := _as_path(word):
            return path
    return ""


def _path_above(lines: Sequence[str], position: int) -> str:
    above = [line for line in lines[max(0, position - 3) : position] if line.strip()]
    if not above:
        return ""
    line = above[-1].strip()
    quoted = re.findall(r"`([^`]+)`", line)
    plain = _LABEL.sub("", line.strip("#*_` \t>:-").strip()).strip("`*_\"' ")
    candidates = [plain, *reversed(quoted)]
    return next((path for text in candidates if (path := _as_path(text))), "")


def _as_path(text: str) -> str:
    text = text.strip().strip("`*_\"'(),:").replace("\\", "/").removeprefix("./")
    if _PATHLIKE.match(text) or text in _NAMELESS:
        return text
    return ""


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """Files to write (path, content), paths that may not be written, and what is unclear."""

    files: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    problem: str = ""
    cut: bool = False


def read_answer(
    text: str,
    *,
    editable: Sequence[str],
    locked: Sequence[str],
    may_create: Sequence[str],
    shown: Mapping[str, str] | None = None,
) -> FileAnswer:
    """What an answer wants to write.

    Args:
        editable: files that may be replaced; `locked` ones (tests) may not.
        may_create: names the task mentions that do not exist yet; with no editable file at all,
            any new file may be created.
        shown: what the editable files hold now, to recognise code without a path.
    """
    found = [block for block in blocks(text) if block.content.strip()]
    if not found:
        return _unfenced(text, editable)
    if not found[-1].closed:
        return FileAnswer(problem="the last file was cut off before its end", cut=True)
    files: dict[str, str] = {}
    refused: list[str] = []
    nameless: list[Block] = []
    for block in found:
        path = _meant(block.path, [*editable, *locked, *may_create])
        if not block.path or block.path == PLACEHOLDER_PATH:
            nameless.append(block)
        elif path in locked:
            refused.append(path)
        elif path in editable or path in may_create or not editable:
            files[path] = block.content
        else:
            refused.append(path)
    targets = list(editable) or list(may_create)
    if not files and nameless and len(targets) == 1:
        files[targets[0]] = _likeliest(nameless, targets[0]).content
    for block in () if files else nameless:
        if path := _recognised(block.content, editable, shown or {}):
            files[path] = block.content
    if not files and nameless:
        return FileAnswer((), tuple(refused), "it is not clear which file the code belongs to")
    return FileAnswer(tuple(files.items()), tuple(refused))


def _unfenced(text: str, editable: Sequence[str]) -> FileAnswer:
    """Bare Python code for the one file there is; anything else is prose."""
    if len(editable) == 1 and editable[0].endswith(".py"):
        code = text.strip() + "\n"
        if re.search(r"^(?:def|class|async def) ", code, re.MULTILINE) and _parses(code):
            return FileAnswer(((editable[0], code),))
    return FileAnswer()


def _meant(path: str, known: Sequence[str]) -> str:
    """The known file a written path means: the same, or the only one with that ending."""
    if path in known or not path:
        return path
    ends = [name for name in known if name.endswith("/" + path) or path.endswith("/" + name)]
    return ends[0] if len(ends) == 1 else path


def _recognised(code: str, editable: Sequence[str], shown: Mapping[str, str]) -> str:
    """The only file that defines a function or class which a piece of code defines; else ""."""
    names = set(_DEFINED.findall(code))
    fitting = [path for path in editable if names & set(_DEFINED.findall(shown.get(path, "")))]
    return fitting[0] if len(fitting) == 1 else ""


def _likeliest(found: Sequence[Block], target: str) -> Block:
    """Of several blocks without a path the longest that can be the file."""
    fitting = [b for b in found if not target.endswith(".py") or _parses(b.content)]
    return max(fitting or found, key=lambda block: len(block.content))


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
