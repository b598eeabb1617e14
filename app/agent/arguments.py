"""A call's argument text as the tool's own parameters: aliases, duplicates, coercion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.agent.types import ToolError
from app.core.ports import ToolSpec

_ALIASES = {
    "file_path": ("path", "filePath", "filepath", "file", "filename", "file_name", "absolute_path",
                  "target_file"),
    "path": ("file_path", "filePath", "dir", "directory", "dir_path", "folder", "dirPath"),
    "old_string": ("oldText", "old_text", "old_content", "oldString", "old_str", "search", "old"),
    "new_string": ("newText", "new_text", "new_content", "newString", "new_str", "replace",
                   "replacement", "new"),
    "replace_all": ("replaceAll", "allow_multiple", "all"),
    "content": ("contents", "text", "file_content", "file_text", "data", "body"),
    "command": ("cmd", "script", "shell_command", "bash"),
    "limit": ("max_lines", "num_lines", "lines", "count", "max_results"),
    "offset": ("start_line", "line_start", "start", "from_line"),
    "pattern": ("query", "regex", "search", "expression", "glob_pattern"),
    "glob": ("include", "file_pattern", "glob_pattern", "file_glob"),
    "timeout": ("timeout_ms", "timeout_s", "time_limit"),
    "is_background": ("background", "run_in_background", "isBackground"),
    "todos": ("items", "tasks", "list", "todo_list"),
}  # fmt: skip


def decode(spec: ToolSpec, text: str) -> dict[str, Any]:
    """The arguments under the names of the tool's schema, coerced to its types.

    Unknown extra parameters are dropped. Of duplicates the first wins, unless it is empty and a
    later one is not.

    Raises:
        ToolError: not a JSON object, a required parameter is missing, or a type cannot be.
    """
    pairs = _pairs(spec, text)
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    taken: dict[str, Any] = {}
    for name, value in pairs:
        real = _real_name(name, properties)
        if real is None:
            continue
        if real not in taken or (_is_empty(taken[real]) and not _is_empty(value)):
            taken[real] = value
    out: dict[str, Any] = {}
    for name, schema in properties.items():
        if name in taken and taken[name] is not None:
            out[name] = _coerced(spec.name, name, taken[name], schema)
    missing = [name for name in spec.parameters.get("required", ()) if name not in out]
    if missing:
        names = ", ".join(missing)
        wanted = ", ".join(properties)
        raise ToolError(f"{spec.name} needs {names}. Its parameters are: {wanted}.")
    return out


def _pairs(spec: ToolSpec, text: str) -> list[tuple[str, Any]]:
    if not text.strip():
        return []
    try:
        data = json.loads(text, object_pairs_hook=list, strict=False)
        if isinstance(data, str):  # arguments encoded twice
            data = json.loads(data, object_pairs_hook=list, strict=False)
    except (ValueError, RecursionError) as error:
        raise ToolError(f"The arguments of {spec.name} are not valid JSON: {error}.") from error
    if not isinstance(data, list) or any(not _is_pair(item) for item in data):
        raise ToolError(f"The arguments of {spec.name} must be one JSON object.")
    return [(name, _plain(value)) for name, value in data]


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _plain(value: Any) -> Any:
    """Turns nested lists of pairs back into objects (an empty object reads as an empty list)."""
    if isinstance(value, list):
        if value and all(_is_pair(item) for item in value):
            return {name: _plain(inner) for name, inner in reversed(value)}
        return [_plain(item) for item in value]
    return value


def _real_name(name: str, properties: Mapping[str, Any]) -> str | None:
    if name in properties:
        return name
    for real, aliases in _ALIASES.items():
        if real in properties and name in aliases:
            return real
    return None


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []


def _coerced(tool: str, name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    """The value in a type its schema accepts. Strings stay strings where a string is accepted."""
    kinds = schema.get("type", "string")
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if "string" in kinds:
        text = value if isinstance(value, str) else _as_text(value)
        return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates are no text
    if isinstance(value, str):
        value = _from_text(value)
    if "boolean" in kinds and isinstance(value, bool):
        return value
    if "integer" in kinds or "number" in kinds:
        if isinstance(value, bool):
            value = None
        if isinstance(value, int | float) and abs(value) < 1e15:
            return int(value) if "integer" in kinds else value
    if "array" in kinds and isinstance(value, list):
        return value
    if "array" in kinds and isinstance(value, dict):
        return [value]
    if "object" in kinds and isinstance(value, dict):
        return value
    if "object" in kinds and value == []:
        return {}
    raise ToolError(f"{tool}: {name} must be {' or '.join(kinds)}.")


def _as_text(value: Any) -> str:
    """A file's content that an engine parsed as JSON goes back to text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _from_text(value: str) -> Any:
    text = value.strip()
    if text.casefold() in ("true", "yes"):
        return True
    if text.casefold() in ("false", "no"):
        return False
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return value
