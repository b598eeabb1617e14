"""Working with tools: ask, run the calls, ask again, until the model answers without a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.agent import compaction, corrections, text_calls
from app.agent.asking import ModelAnswer
from app.agent.events import Correction, Tier, TierChosen
from app.agent.guard import NOTE, LoopGuard
from app.agent.prompt import json_system_prompt
from app.agent.run import Ended, Run, Stopped, response_message, result_message
from app.agent.tiers import is_tools_refusal
from app.agent.types import ToolOutcome
from app.core.errors import ContextFull, GarretError
from app.core.messages import Message, ToolCallPart
from app.core.ports import ToolSpec

FORCE_AFTER = 3  # unusable answers in a row: two corrections, then a forced call, then an end
NOT_RUN_STOPPED = "Not run: the user stopped."
NOT_RUN_SAID = "Not run: the user sent a message first."
STUCK = (
    "The model could not write a tool call that can be read, even after corrections. "
    "A larger or newer model may do better; what was changed so far is kept and can be undone."
)
_WHY_CHARS = 300
_READING = ("read", "search", "think")


@dataclass(slots=True)
class _Troubles:
    """Unusable answers in a row, and the tool the last one meant."""

    in_row: int = 0
    tool: str = ""


class ToolLoop:
    """One request in tier A (native) or B (JSON in the text)."""

    def __init__(self, run: Run, tier: Tier, request_text: str) -> None:
        self.tier = tier
        self._run = run
        self._specs: tuple[ToolSpec, ...] = run.hands.specs()
        self._request_text = request_text
        self._guard = LoopGuard()
        self._troubles = _Troubles()
        self._limit = run.options.max_steps

    async def work(self, first: ModelAnswer | None = None) -> Ended:
        """Runs to the end; `first` is an answer that is already there.

        Raises:
            Stopped: the user pressed Stop; the conversation is whole and may go on.
            GarretError: the engine is gone or refuses.
        """
        run = self._run
        if first is not None and (ended := await self._handle(first)):
            return ended
        while True:
            await run.deliver_said()
            if run.steps >= self._limit:
                if not await run.question("continue", f"{run.steps} steps so far. Continue?"):
                    return Ended("stopped", f"Stopped after {run.steps} steps, as agreed.")
                self._limit += run.options.max_steps
            if compaction.is_due(run) and (ended := await self._tidy()):
                return ended
            answer = await self._ask()
            if answer is None:
                continue
            if ended := await self._handle(answer):
                return ended

    async def _ask(self) -> ModelAnswer | None:
        """The next answer; None when the way of asking changed and it must be asked again."""
        forced = self._troubles.in_row >= FORCE_AFTER
        schema = None
        choice = "auto"
        if forced and self.tier is Tier.NATIVE:
            choice = self._troubles.tool or "required"
        elif forced:
            schema = _call_schema(self._specs)
        try:
            return await self._run.ask(
                self._specs if self.tier is Tier.NATIVE else (),
                tool_choice=choice,
                response_schema=schema,
                temperature=0.1 if forced else None,
            )
        except ContextFull:
            if self._run.facts.get("tidied", 0) > 2:
                raise
            ended = await self._tidy()
            if ended:
                raise
            return None
        except GarretError as error:
            if self.tier is not Tier.NATIVE or not is_tools_refusal(error):
                raise
            await self._speak_json()
            return None

    async def _handle(self, answer: ModelAnswer) -> Ended | None:
        if answer.finish == "length" or answer.repeating:
            return await self._handle_cut(answer)
        if answer.calls:
            return await self._handle_native(answer)
        found = text_calls.find_calls(answer.text, self._specs)
        if found.calls or found.problem:
            return await self._handle_embedded(answer, found)
        await self._run.add(answer.message(()))
        if not answer.text.strip():
            return await self._trouble(corrections.EMPTY)
        if self._run.mailbox.said:
            return None
        return Ended("done", answer.text.strip())

    async def _handle_cut(self, answer: ModelAnswer) -> Ended | None:
        """An answer that stopped at a limit: an unfinished call is never run."""
        calls = [corrections.safe_for_history(call) for call in answer.calls]
        await self._run.add(answer.message(calls))
        for call in calls:
            await self._run.add(result_message(call, corrections.CUT, is_error=True))
        if calls:
            return await self._trouble(corrections.CUT, calls[-1].name, told=True)
        if answer.repeating:
            return await self._trouble(corrections.REPEATING)
        found = text_calls.find_calls(answer.text, self._specs, cut=True)
        is_call = bool(found.calls or found.problem)
        return await self._trouble(corrections.CUT if is_call else corrections.CUT_TEXT)

    async def _handle_native(self, answer: ModelAnswer) -> Ended | None:
        checked = [
            corrections.check_call(call, self._specs, self._is_known) for call in answer.calls
        ]
        history = [
            corrections.safe_for_history(call if item.problem else _as_sent(call, item.call))
            for call, item in zip(answer.calls, checked, strict=True)
        ]
        await self._run.add(answer.message(history))
        why = _why(answer.text)
        ended: Ended | None = None
        good = 0
        trouble = ""
        for position, (item, sent) in enumerate(zip(checked, history, strict=True)):
            if item.problem:
                trouble = corrections.correction(item.problem, sent.name, self._specs)
                await self._run.add(result_message(sent, trouble, is_error=True))
                self._troubles.tool = sent.name if self._is_known(sent.name) else ""
                continue
            if left_out := self._left_out(ended):
                await self._close(history[position:], left_out)
                break
            outcome, note, ended = await self._execute(item.call, why)
            await self._run.add(
                result_message(sent, outcome.text + note, is_error=outcome.is_error)
            )
            good += 1
        self._check_stop()
        if good:
            self._troubles.in_row = 0
        elif trouble and ended is None:
            return await self._trouble(trouble, self._troubles.tool, told=True)
        return ended

    async def _handle_embedded(
        self, answer: ModelAnswer, found: text_calls.TextCalls
    ) -> Ended | None:
        """Calls that stood in the text: answered in a user turn, the text stays as it was."""
        await self._run.add(answer.message(()))
        if found.problem:
            spec = next((s for s in self._specs if s.name == self._troubles.tool), self._specs[0])
            form = (
                corrections.xml_form(spec)
                if "<function=" in answer.text
                else corrections.json_form(spec)
            )
            return await self._trouble(corrections.correction_in_text(found.problem, form))
        texts: list[str] = []
        ended: Ended | None = None
        for number, text_call in enumerate(found.calls):
            call = ToolCallPart(
                f"text_{self._run.steps}_{number + 1}", text_call.name, text_call.arguments
            )
            if left_out := self._left_out(ended):
                texts.append(left_out)
                continue
            outcome, note, ended = await self._execute(call, _why(found.prose))
            texts.append(outcome.text + note)
        await self._run.add(response_message(texts))
        self._check_stop()
        self._troubles.in_row = 0
        return ended

    async def _execute(self, call: ToolCallPart, why: str) -> tuple[ToolOutcome, str, Ended | None]:
        """One call, what the guard adds to its result, and the end it may bring."""
        outcome = await self._run.execute(call, why)
        if outcome.stopped or self._run.mailbox.stop.is_set():
            return outcome, "", None
        verdict, count = self._guard.judge(
            call.name,
            call.arguments,
            outcome.text,
            reads=self._run.hands.kind_of(call.name) in _READING,
            changed=bool(outcome.changes),
        )
        if verdict == "go_on":
            return outcome, "", None
        if verdict == "stop":
            self._run.count("loops")
            text = f"The model repeats {self._run.hands.summary(call)!r} without getting further."
            if not await self._run.question("loop", f"{text} Continue?"):
                return outcome, "", Ended("stopped", f"{text} The run was stopped.")
            self._guard.forgive()
        return outcome, NOTE.format(count=count), None

    async def _trouble(self, text: str, tool: str = "", *, told: bool = False) -> Ended | None:
        """Tells the model what was wrong with its answer; after the last try, the end."""
        self._troubles.in_row += 1
        self._troubles.tool = tool if self._is_known(tool) else self._troubles.tool
        self._run.count("corrections")
        if self._troubles.in_row > FORCE_AFTER:
            return Ended("stopped", STUCK)
        self._run.emit(Correction(text))
        if not told:
            await self._run.add(Message.of("user", text))
        return None

    async def _tidy(self) -> Ended | None:
        tools = self._specs if self.tier is Tier.NATIVE else ()
        return await compaction.tidy(self._run, tools, self._request_text)

    async def _speak_json(self) -> None:
        """The engine takes no tools for this model: describe them in the prompt instead."""
        self.tier = Tier.JSON
        self._run.emit(TierChosen(Tier.JSON, "The engine takes no tools for this model."))
        system = Message.of("system", json_system_prompt(self._run.hands.workspace, self._specs))
        rest = [message for message in self._run.talk.messages if message.role != "system"]
        await self._run.restart([system, *rest])

    async def _close(self, calls: Sequence[ToolCallPart], text: str) -> None:
        for call in calls:
            await self._run.add(result_message(call, text, is_error=True))

    def _left_out(self, ended: Ended | None) -> str:
        """Why the calls still to come are not run; empty when they are."""
        if self._run.mailbox.stop.is_set():
            return NOT_RUN_STOPPED
        if ended is not None:
            return "Not run: the run ended."
        return NOT_RUN_SAID if self._run.mailbox.said else ""

    def _check_stop(self) -> None:
        if self._run.mailbox.stop.is_set():
            raise Stopped

    def _is_known(self, name: str) -> bool:
        return self._run.hands.kind_of(name) is not None


def _as_sent(original: ToolCallPart, checked: ToolCallPart) -> ToolCallPart:
    """The call as the model wrote it, where that is sound: the engine knows those bytes."""
    return original if original.arguments == checked.arguments else checked


def _why(text: str) -> str:
    """The model's sentence before a call: its last paragraph, shortened."""
    paragraphs = [part.strip() for part in text.strip().split("\n\n") if part.strip()]
    return paragraphs[-1][-_WHY_CHARS:] if paragraphs else ""


def _call_schema(specs: Sequence[ToolSpec]) -> dict[str, object]:
    """JSON Schema of one call, for engines that can be held to a schema."""
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": [spec.name for spec in specs]},
            "arguments": {"type": "object"},
        },
        "required": ["name", "arguments"],
    }
