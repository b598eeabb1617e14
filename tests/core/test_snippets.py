from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

from app.core.snippets import Endpoint, snippets

ENDPOINT = Endpoint("http://127.0.0.1:8765", "garret-key", "qwen3-coder-next", 65_536)


def text_of(client: str) -> str:
    return next(one.text for one in snippets(ENDPOINT) if one.client == client)


def test_every_snippet_but_cursors_names_address_key_and_model() -> None:
    for one in snippets(ENDPOINT):
        if one.client != "Cursor":
            assert "127.0.0.1:8765" in one.text, one.client
            assert "garret-key" in one.text, one.client
            assert "qwen3-coder-next" in one.text, one.client


def test_claude_code_is_told_the_real_context() -> None:
    text = text_of("Claude Code")
    assert "CLAUDE_CODE_MAX_CONTEXT_TOKENS=65536" in text
    assert "CLAUDE_CODE_MAX_OUTPUT_TOKENS=8192" in text
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8765\n" in text


def test_opencode_is_json_and_codex_is_toml() -> None:
    config = json.loads(text_of("OpenCode"))
    model = config["provider"]["garret"]["models"]["qwen3-coder-next"]
    assert model["limit"] == {"context": 65_536, "output": 8192}
    assert config["model"] == "garret/qwen3-coder-next"
    assert tomllib.loads(text_of("Codex"))["model_providers"]["garret"]["wire_api"] == "responses"


@pytest.mark.parametrize("client", ["Python (openai)", "Python (anthropic)"])
def test_programs_are_programs(client: str) -> None:
    assert ast.parse(text_of(client)).body


def test_windows_gets_powershells_lines() -> None:
    texts = {one.client: one.text for one in snippets(ENDPOINT, windows=True)}
    assert not any("export " in text for text in texts.values())
    assert '$env:ANTHROPIC_MODEL = "qwen3-coder-next"\n' in texts["Claude Code"]
    assert texts["Claude Code"].endswith("\nclaude")
    assert tomllib.loads(texts["Codex"])["model"] == "qwen3-coder-next"
    assert '$env:GARRET_API_KEY = "garret-key"' in texts["Codex"]


@pytest.mark.parametrize(("n_ctx", "output"), [(2048, 1024), (32_768, 8192), (262_144, 8192)])
def test_answers_leave_room_for_the_prompt(n_ctx: int, output: int) -> None:
    assert Endpoint("u", "k", "m", n_ctx).output_tokens == output


def test_the_guide_names_every_client() -> None:
    guide = Path(__file__).parents[2] / "resources" / "guide" / "endpoint.md"
    text = guide.read_text(encoding="utf-8")
    for one in snippets(ENDPOINT):
        name = one.client.removeprefix("Python (").rstrip(")")
        assert name in text, name
