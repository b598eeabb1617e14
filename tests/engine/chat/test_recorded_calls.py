"""What Qwen2.5-Coder-1.5B really wrote when it was offered tools: read as meant, however it is cut.

The file says which model, sampler and prompts the outputs come from. `calls` is what each means;
null arguments are those of a call that was cut off.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from app.engine.chat.control_tokens import ControlTokens
from app.engine.chat.parsing.events import OutputParser
from app.engine.chat.parsing.formats import _FORMATS, make_parser
from app.engine.chat.values import (
    CallArguments,
    CallBegan,
    CallEnded,
    ChatMessage,
    ChatRequest,
    ParseEvent,
    TextPiece,
    Tool,
)

RECORDED = json.loads(Path(__file__).with_name("recorded_coder.json").read_text("utf-8"))
OUTPUTS: list[dict[str, Any]] = RECORDED["outputs"]
HERMES = next(found for _, found in _FORMATS if found.name == "hermes")
CONTROL = ControlTokens(("<|im_end|>", "<|im_start|>", "<|endoftext|>"))
SPLITS = 40


def parser_for(output: dict[str, Any]) -> OutputParser:
    text = {"type": "object", "properties": {"path": {"type": "string"}}}
    tools = tuple(Tool(name, "", text) for name in output["tools"])
    request = ChatRequest((ChatMessage("user", output["asked"]),), tools=tools)
    return make_parser(HERMES, request, CONTROL, in_thinking=False)


def read(output: dict[str, Any], chunks: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Prose, and names with their arguments' text."""
    parser, events = parser_for(output), list[ParseEvent]()
    for chunk in chunks:
        events += parser.feed(chunk)
    events += parser.finish(truncated=output["truncated"])
    prose, names, arguments = "", list[str](), list[str]()
    for event in events:
        match event:
            case TextPiece(text=text):
                prose += text
            case CallBegan(index=index, name=name):
                assert index == len(names)
                names.append(name)
                arguments.append("")
            case CallArguments(index=index, delta=delta):
                arguments[index] += delta
            case CallEnded(index=index):
                assert index == len(names) - 1
            case _:
                raise AssertionError(event)
    return prose, list(zip(names, arguments, strict=True))


def pieces(text: str, random_: random.Random) -> list[str]:
    cuts = sorted(random_.randrange(len(text) + 1) for _ in range(random_.choice((1, 3, 9, 40))))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize(
    "output", OUTPUTS, ids=lambda o: f"{o['name']} at {o['temperature']} seed {o['seed']}"
)
def test_a_real_output_is_read_as_meant_in_any_pieces(output: dict[str, Any]) -> None:
    raw = output["raw"]
    prose, calls = read(output, [raw])
    assert prose.strip() == output["prose"].strip()
    assert [name for name, _ in calls] == [name for name, _ in output["calls"]]
    for (_, written), (_, meant) in zip(calls, output["calls"], strict=True):
        if meant is None:
            with pytest.raises(ValueError, match="Unterminated"):
                json.loads(written)
        else:
            assert json.loads(written) == meant
    random_ = random.Random(raw)
    for chunks in [list(raw), *(pieces(raw, random_) for _ in range(SPLITS))]:
        assert read(output, chunks) == (prose, calls), chunks
