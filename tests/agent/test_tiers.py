"""Which way a model is spoken to."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.agent.events import Tier
from app.agent.tiers import ModelTraits, choose_tier, is_tools_refusal, params_in_name, probe
from app.core.errors import EngineRefused
from app.core.events import TextDelta, ToolCallReady, TurnEnded, TurnEvent, Usage
from app.core.messages import ToolCallPart
from tests.fakes import FakeEngine


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("Qwen2.5-Coder-1.5B-Instruct-Q4_K_M", 1_500_000_000),
        ("qwen2.5-coder:7b", 7_000_000_000),
        ("Qwen3-Coder-30B-A3B-Instruct", 30_000_000_000),
        ("Qwen3-Coder-Next", 0),
        ("Mixtral-8x7B", 56_000_000_000),
        ("SmolLM2-360M-Instruct", 360_000_000),
        ("llama-3.2-3b-instruct", 3_000_000_000),
        ("gpt-oss-20b", 20_000_000_000),
        ("model-Q4_0-v2", 0),
        ("qwen3_4b", 4_000_000_000),
    ],
)
def test_size_is_read_from_a_name(name: str, params: int) -> None:
    assert params_in_name(name) == params


@pytest.mark.parametrize(
    ("traits", "tier"),
    [
        (ModelTraits("Qwen3-Coder-Next", 80_000_000_000, "qwen3_coder"), Tier.NATIVE),
        (ModelTraits("mystery"), Tier.NATIVE),
        (ModelTraits("mystery", 9_000_000_000, ""), Tier.JSON),
        (ModelTraits("Qwen2.5-Coder-1.5B"), Tier.WHOLE_FILE),
        (ModelTraits("renamed", 1_543_714_304, "hermes"), Tier.WHOLE_FILE),
    ],
)
def test_a_model_gets_the_tier_that_suits_it(traits: ModelTraits, tier: Tier) -> None:
    choice = choose_tier(traits)
    assert choice.tier is tier
    assert choice.reason.endswith(".")


def test_the_users_choice_wins() -> None:
    assert choose_tier(ModelTraits("tiny-1b"), Tier.NATIVE).tier is Tier.NATIVE


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("registry.ollama.ai/library/gemma does not support tools", True),
        ("tools param requires --jinja flag", True),
        ("context is too long", False),
        ("this model does not support images", False),
    ],
)
def test_an_engine_that_refuses_tools_is_understood(message: str, refused: bool) -> None:
    assert is_tools_refusal(EngineRefused(message)) is refused


Script = list[TurnEvent | float | BaseException]


def call(name: str, **arguments: str) -> Script:
    made = ToolCallPart("1", name, json.dumps(arguments))
    return [ToolCallReady(0, made), TurnEnded("tool_calls", Usage())]


def text(words: str) -> Script:
    return [TextDelta(words), TurnEnded("stop", Usage())]


GOOD = [
    call("read_file", file_path="notes.txt"),
    call("write_file", file_path="hello.py", content="x = 1\nprint(x)\n"),
    call("read_file", file_path="src/main.py"),
]


@pytest.mark.parametrize(
    ("scripts", "tier"),
    [
        (GOOD, Tier.NATIVE),
        ([GOOD[0], text("Here: x = 1"), GOOD[2]], Tier.JSON),
        ([text("I cannot.")], Tier.WHOLE_FILE),
        ([[EngineRefused("this model does not support tools")], *GOOD], Tier.JSON),
        ([[EngineRefused("no tools: not supported")], text("What?")], Tier.WHOLE_FILE),
    ],
)
def test_the_probe_judges_three_calls(scripts: list[Script], tier: Tier) -> None:
    assert asyncio.run(probe(FakeEngine(*scripts), "m")) is tier
