"""Whether a file still parses: Python, JSON and TOML."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings

_MAX_CHARS = 500_000


def parse_error(path: str, text: str) -> str:
    """One line saying where the text does not parse; "" when it does or cannot be judged."""
    if len(text) > _MAX_CHARS:
        return ""
    suffix = path.rpartition(".")[2].casefold()
    try:
        if suffix in ("py", "pyi"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text)
        elif suffix == "json":
            json.loads(text)
        elif suffix == "toml":
            tomllib.loads(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        return str(error)
    except (ValueError, RecursionError, MemoryError):
        return ""  # nested too deep or null bytes: no judgement
    return ""


def newly_broken(path: str, before: str, after: str) -> str:
    """The parse error an edit brought in; "" when there is none or there was one before."""
    error = parse_error(path, after)
    return error if error and not parse_error(path, before) else ""
