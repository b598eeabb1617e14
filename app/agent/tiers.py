"""How a model is spoken to: chosen from what is known about it, corrected by what it does.

No request is made only to find out, except by `probe`, which somebody must call: a hidden request
would push the user's conversation out of a small engine's memory.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from app.agent import corrections, text_calls
from app.agent.events import Tier
from app.agent.prompt import tools_text
from app.core.errors import GarretError
from app.core.events import TextDelta, ToolCallReady
from app.core.messages import Message, ToolCallPart
from app.core.ports import ChatEngine, ToolSpec, TurnRequest

SMALL_PARAMS = 4_500_000_000  # "4B" models have up to 4.5 thousand million parameters
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,2})?)\s?([bm])(?![A-Za-z0-9])", re.I)
_EXPERTS = re.compile(r"(?<![A-Za-z0-9.])(\d{1,2})x(\d{1,3}(?:\.\d)?)b", re.I)


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What is known of a model: its name, and from our own engine its size and tool format."""

    name: str
    n_params: int = 0
    tool_format: str | None = None  # None: not known; "": the template has no tools


@dataclass(frozen=True, slots=True)
class TierChoice:
    """A tier and the reason in one plain sentence."""

    tier: Tier
    reason: str


def params_in_name(name: str) -> int:
    """The parameter count a model's name states (Qwen2.5-Coder-1.5B → 1.5e9), or 0.

    Of several numbers the largest counts: in 30B-A3B the second is only the active part.
    """
    sizes = [
        int(float(number) * (1e9 if unit.lower() == "b" else 1e6))
        for number, unit in _SIZE.findall(name.replace("_", "-"))
    ]
    sizes += [int(float(count) * float(size) * 1e9) for count, size in _EXPERTS.findall(name)]
    return max(sizes, default=0)


def choose_tier(traits: ModelTraits, wanted: Tier | None = None) -> TierChoice:
    """The tier for a model; `wanted` is the user's own choice and wins."""
    if wanted is not None:
        return TierChoice(wanted, "Chosen by you.")
    n_params = traits.n_params or params_in_name(traits.name)
    if 0 < n_params <= SMALL_PARAMS:
        return TierChoice(
            Tier.WHOLE_FILE,
            "A model of this size works best on whole files, without tools.",
        )
    if traits.tool_format == "":
        return TierChoice(Tier.JSON, "The model's template has no tool calls of its own.")
    return TierChoice(Tier.NATIVE, "The model calls tools in its own format.")


_PROBE_TOOLS = (
    ToolSpec(
        "read_file",
        "Reads a file.",
        {
            "type": "object",
            "properties": {"file_path": {"type": "string"}},
            "required": ["file_path"],
        },
    ),
    ToolSpec(
        "write_file",
        "Writes a file.",
        {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["file_path", "content"],
        },
    ),
)
_PROBES = (
    ("Read the file notes.txt.", "read_file", {"file_path": "notes.txt"}),
    ("Write a file hello.py with two lines: x = 1 and then print(x).", "write_file", None),
    ("First look at what src/main.py contains.", "read_file", {"file_path": "src/main.py"}),
)


async def probe(engine: ChatEngine, model: str, tier: Tier = Tier.NATIVE) -> Tier:
    """Three small tool calls that nothing carries out, and the tier that suits the answers.

    Args:
        tier: the way to try: `NATIVE` gives the engine the tools, `JSON` writes them out.

    Raises:
        GarretError: the engine is not there; refusing tools is an answer, not an error.
    """
    right = 0
    for task, name, arguments in _PROBES:
        messages = [Message.of("user", task)]
        if tier is Tier.JSON:
            messages.insert(0, Message.of("system", tools_text(_PROBE_TOOLS)))
        request = TurnRequest(
            model=model,
            messages=messages,
            tools=_PROBE_TOOLS if tier is Tier.NATIVE else (),
            sampling={"temperature": 0.0},
            max_tokens=200,
        )
        try:
            calls = await _calls(engine, request)
        except GarretError as error:
            if tier is Tier.NATIVE and is_tools_refusal(error):
                return await probe(engine, model, Tier.JSON)
            raise
        right += any(_is_right(call, name, arguments) for call in calls[:1])
    if right == len(_PROBES):
        return tier
    return Tier.JSON if right else Tier.WHOLE_FILE


def is_tools_refusal(error: GarretError) -> bool:
    """Whether an engine said that this model cannot be given tools."""
    text = str(error).lower()
    refused = any(w in text for w in ("not support", "unsupported", "jinja", "not allowed"))
    return "tool" in text and refused


async def _calls(engine: ChatEngine, request: TurnRequest) -> list[ToolCallPart]:
    calls: list[ToolCallPart] = []
    text = ""
    async for event in engine.stream(request):
        if isinstance(event, ToolCallReady):
            calls.append(event.call)
        elif isinstance(event, TextDelta):
            text += event.text
    found = text_calls.find_calls(text, _PROBE_TOOLS).calls
    return calls or [ToolCallPart("probe", call.name, call.arguments) for call in found]


def _is_right(call: ToolCallPart, name: str, wanted: dict[str, str] | None) -> bool:
    arguments, _ = corrections.read_arguments(call.arguments)
    if call.name != name or arguments is None:
        return False
    if wanted is None:
        return "print(x)" in json.dumps(arguments.get("content", ""))
    return arguments == wanted
