"""What a person allowed or forbade for good in one folder; kept in app data, not in the folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.agent.commands import Parsed, never_always, token_rule

RuleKind = Literal["tokens", "exact", "tool", "deny"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One remembered answer.

    "tokens": leading tokens of a command, counted only inside the proven sandbox.
    "exact": a whole argv and its folder, with the hashes of the scripts it names.
    "tool": a tool by its name (MCP tools). "deny": leading tokens that are always refused.
    """

    kind: RuleKind
    words: tuple[str, ...]
    cwd: str = ""
    scripts: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """How the rule is shown."""
        text = " ".join(self.words)
        if self.kind == "tokens":
            return f"{text} …"
        return text


class Rules:
    """The remembered answers of one folder, in one JSON file."""

    def __init__(self, folder: Path, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
        self._path = folder / f"{name}.json"
        self._root = str(root)
        self.items: list[Rule] = self._load()

    def _load(self) -> list[Rule]:
        try:
            data = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        found: list[Rule] = []
        for item in data.get("rules", []) if isinstance(data, dict) else []:
            rule = _rule_from(item)
            if rule is not None:
                found.append(rule)
        return found

    def add(self, rule: Rule) -> None:
        """Remembers an answer at once, on disk."""
        if rule not in self.items:
            self.items.append(rule)
            self._save()

    def remove(self, rule: Rule) -> None:
        """Forgets an answer."""
        with suppress(ValueError):
            self.items.remove(rule)
            self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        rules = [
            {"kind": r.kind, "words": r.words, "cwd": r.cwd, "scripts": r.scripts}
            for r in self.items
        ]
        text = json.dumps({"folder": self._root, "rules": rules}, indent=1)
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)

    def denies(self, parsed: Parsed) -> Rule | None:
        """The deny rule that fits a part of a command."""
        for rule in self.items:
            if rule.kind == "deny" and any(
                part[: len(rule.words)] == rule.words for part in parsed.parts
            ):
                return rule
        return None

    def allows_tool(self, name: str) -> bool:
        """Whether a tool is always allowed by its name."""
        return any(rule.kind == "tool" and rule.words == (name,) for rule in self.items)

    def allows(self, parsed: Parsed, cwd: str, scripts: Mapping[str, str], sandboxed: bool) -> bool:
        """Whether every part of a simple command is allowed, token by token."""
        return (
            parsed.simple
            and bool(parsed.parts)
            and all(self._allows_part(part, cwd, scripts, sandboxed) for part in parsed.parts)
        )

    def _allows_part(
        self, part: tuple[str, ...], cwd: str, scripts: Mapping[str, str], sandboxed: bool
    ) -> bool:
        if never_always(part):
            return False
        for rule in self.items:
            if rule.kind == "tokens" and sandboxed and part[: len(rule.words)] == rule.words:
                return token_rule(part) is not None
            if rule.kind == "exact" and part == rule.words and rule.cwd == cwd:
                mine = tuple(sorted((p, h) for p, h in scripts.items() if p in dict(rule.scripts)))
                named = {word for word in part if word in scripts}
                if mine == rule.scripts and named <= set(dict(rule.scripts)):
                    return True
        return False


def rules_for(
    parsed: Parsed, cwd: str, scripts: Mapping[str, str], sandboxed: bool
) -> tuple[Rule, ...]:
    """What "Always allow" would store for a command; () when it is not offered."""
    if not parsed.simple or any(never_always(part) for part in parsed.parts):
        return ()
    found: list[Rule] = []
    for part in parsed.parts:
        tokens = token_rule(part) if sandboxed else None
        if tokens is not None:
            found.append(Rule("tokens", tokens))
        else:
            found.append(Rule("exact", part, cwd, tuple(sorted(scripts.items()))))
    return tuple(dict.fromkeys(found))


def _rule_from(item: Any) -> Rule | None:
    match item:
        case {
            "kind": ("tokens" | "exact" | "tool" | "deny") as kind,
            "words": [str(), *_] as words,
            "cwd": str(cwd),
            "scripts": list(scripts),
        }:
            pairs = tuple((str(p[0]), str(p[1])) for p in scripts if isinstance(p, list))
            return Rule(kind, tuple(str(word) for word in words), cwd, pairs)
    return None
