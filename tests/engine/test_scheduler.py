"""Several requests at once: order, limits, cancel, and the decode thread's own failures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import ContextFull, EngineBusy, EngineError, EngineRefused
from app.engine.context import DecodeFailed
from app.engine.loaded_model import EngineModel
from app.engine.types import (
    Chunk,
    Finished,
    GenerationRequest,
    Grammar,
    Progress,
    Prompt,
    Sampling,
)
from tests.engine.models import GREEDY, Result, ask, generate, opened


@pytest.fixture(scope="module")
def hybrid(hybrid_model_path: Path) -> Iterator[EngineModel]:
    with opened(hybrid_model_path) as model:
        yield model


@pytest.fixture(scope="module")
def starter(starter_model_path: Path) -> Iterator[EngineModel]:
    with opened(starter_model_path) as model:
        yield model


def _request(start: int, n: int = 40, **more: object) -> GenerationRequest:
    values = {"sampling": GREEDY, "max_tokens": 6, "ignore_eos": True, **more}
    tokens = tuple(range(start, start + n))
    return GenerationRequest(Prompt(tokens), **values)  # type: ignore[arg-type]


async def _all(model: EngineModel, requests: list[GenerationRequest]) -> list[Result]:
    return list(await asyncio.gather(*(generate(model, request) for request in requests)))


def test_more_requests_than_places_are_all_answered(hybrid: EngineModel) -> None:
    results = asyncio.run(_all(hybrid, [_request(100 * i + 10) for i in range(10)]))
    assert [len(result.ids) for result in results] == [6] * 10
    assert hybrid.scheduler.n_active == 0


def test_text_and_tokens_of_an_answer_agree(hybrid: EngineModel) -> None:
    result = ask(hybrid, range(20, 60), max_tokens=30, ignore_eos=True)
    assert result.finished is not None
    assert result.finished.reason == "length"
    assert list(result.finished.generated_ids) == result.ids
    whole = b"".join(hybrid.vocabulary.piece(token) for token in result.ids)
    assert result.text == whole.decode("utf-8", "replace")
    assert result.finished.usage.completion_tokens == 30
    assert result.finished.timings.predicted_n == 30


def test_the_queue_has_a_limit(hybrid: EngineModel) -> None:
    async def flood() -> tuple[int, EngineBusy | None]:
        running = []
        refused = None
        for i in range(200):
            try:
                running.append(hybrid.submit(_request(50 + i, max_tokens=40)))
            except EngineBusy as error:
                refused = error
                break
        for handle in running:
            handle.cancel()
        for handle in running:
            async for event in handle:
                last = event
            assert isinstance(last, Finished)
        return len(running), refused

    accepted, refused = asyncio.run(flood())
    assert 64 <= accepted < 200
    assert refused is not None
    assert refused.facts["retry_after_s"] >= 1


def test_cancelling_in_a_long_prompt_keeps_what_was_read(hybrid: EngineModel) -> None:
    tokens = tuple((i * 7) % 1800 for i in range(3000))

    async def cancel_early() -> tuple[int, Finished]:
        handle = hybrid.submit(GenerationRequest(Prompt(tokens), GREEDY, max_tokens=4))
        read = 0
        async for event in handle:
            if isinstance(event, Progress) and event.processed > 0:
                read = event.processed
                handle.cancel()
            last = event
        assert isinstance(last, Finished)
        return read, last

    read, finished = asyncio.run(cancel_early())
    assert finished.reason == "cancelled"
    assert read < len(tokens)
    again = ask(hybrid, tokens, max_tokens=2)
    assert again.cached >= read


def test_closing_the_iterator_cancels(hybrid: EngineModel) -> None:
    async def leave() -> None:
        handle = hybrid.submit(_request(30, max_tokens=2000))
        events = handle.__aiter__()
        async for event in events:
            if isinstance(event, Chunk):
                break
        await events.aclose()  # type: ignore[attr-defined]
        for _ in range(200):
            if hybrid.scheduler.n_active == 0:
                return
            await asyncio.sleep(0.02)
        pytest.fail("still running")

    asyncio.run(leave())


def test_a_prompt_beyond_the_context_is_refused_with_the_figures(hybrid: EngineModel) -> None:
    with pytest.raises(ContextFull) as caught:
        ask(hybrid, [5] * 5000)
    assert caught.value.facts["prompt_tokens"] == 5000
    assert caught.value.facts["context_tokens"] == hybrid.info.n_ctx


def test_requests_that_together_overflow_the_cache_still_finish(hybrid_model_path: Path) -> None:
    with opened(hybrid_model_path, n_ctx=512, n_parallel=3) as model:
        requests = [_request(100 * i, 150, max_tokens=60) for i in range(3)]
        results = asyncio.run(_all(model, requests))
    assert [len(result.ids) for result in results] == [60, 60, 60]


@pytest.mark.parametrize("n_parallel", [2, 3])
def test_a_prompt_that_must_wait_for_room_does_not_hold_up_who_writes(
    starter_model_path: Path, n_parallel: int
) -> None:
    async def writers_first(model: EngineModel) -> list[int]:
        writers = [_request(100 * i, 60, max_tokens=40) for i in range(n_parallel - 1)]
        running = [asyncio.ensure_future(generate(model, request)) for request in writers]
        await asyncio.sleep(0.05)
        late = generate(model, _request(500, 460, max_tokens=5))
        async with asyncio.timeout(60):
            return [len(result.ids) for result in [await late, *await asyncio.gather(*running)]]

    with opened(starter_model_path, n_ctx=512, n_parallel=n_parallel) as model:
        lengths = asyncio.run(writers_first(model))
        assert model.scheduler.n_active == 0
    assert lengths == [5, *[40] * (n_parallel - 1)]


def test_an_answer_that_fills_the_context_ends_with_length(hybrid_model_path: Path) -> None:
    with opened(hybrid_model_path, n_ctx=256, n_parallel=1) as model:
        result = ask(model, range(200), max_tokens=1000, ignore_eos=True)
    assert result.finished is not None
    assert result.finished.reason == "length"
    assert 40 < len(result.ids) <= 56


def test_the_apps_own_chat_is_admitted_first(hybrid: EngineModel) -> None:
    async def race() -> list[str]:
        order: list[str] = []

        async def one(name: str, request: GenerationRequest) -> None:
            await generate(hybrid, request)
            order.append(name)

        others = [
            asyncio.create_task(one(f"other {i}", _request(40 * i, max_tokens=60)))
            for i in range(9)
        ]
        await asyncio.sleep(0.02)
        own = asyncio.create_task(one("own", _request(900, max_tokens=8, priority=0)))
        await asyncio.gather(own, *others)
        return order

    assert "own" in asyncio.run(race())[:5]


def test_parallel_chats_with_one_system_prompt_read_it_once(hybrid: EngineModel) -> None:
    shared = [(i * 13) % 1700 for i in range(700)]
    requests = [
        GenerationRequest(Prompt((*shared, *range(50 * i, 50 * i + 30))), GREEDY, max_tokens=3)
        for i in range(4)
    ]
    results = asyncio.run(_all(hybrid, requests))
    assert sum(result.evaluated for result in results) < 700 + 4 * 60


def test_a_side_request_does_not_cost_the_conversation_its_state(hybrid: EngineModel) -> None:
    main = [(i * 11) % 1500 for i in range(300)]
    ask(hybrid, main)
    for i in range(20):
        ask(hybrid, range(30 * i, 30 * i + 25), priority=2)
    assert ask(hybrid, [*main, 7, 8, 9]).evaluated <= 8


def test_stop_strings_cut_the_text_and_name_themselves(starter: EngineModel) -> None:
    tokens = starter.vocabulary.tokenize("Count: one, two, three,", parse_special=True)
    free = ask(starter, tokens, max_tokens=12, ignore_eos=True)
    stop = free.text[4:8]
    cut = ask(starter, tokens, max_tokens=12, ignore_eos=True, stop=(stop,))
    assert cut.text == free.text[: free.text.index(stop)]
    assert cut.finished is not None
    assert cut.finished.stop_text == stop
    assert cut.finished.reason == "stop"
    kept = b"".join(starter.vocabulary.piece(i) for i in cut.finished.generated_ids)
    assert kept.decode() in (cut.text, "")


def test_a_grammar_cannot_be_escaped(starter: EngineModel) -> None:
    tokens = starter.vocabulary.tokenize("Is water wet? Answer:", parse_special=True)
    grammar = Grammar('root ::= " yes" | " no"')
    for seed in range(4):
        result = ask(
            starter,
            tokens,
            sampling=Sampling(temperature=1.5, seed=seed),
            max_tokens=20,
            grammar=grammar,
        )
        assert result.text in (" yes", " no")
        assert result.finished is not None
        assert result.finished.reason == "eos"


def test_a_lazy_grammar_waits_for_its_trigger(starter: EngineModel) -> None:
    tokens = starter.vocabulary.tokenize("one two", parse_special=True)
    grammar = Grammar('root ::= "zzz"', trigger_patterns=(r"^(never seen)",))
    plain = ask(starter, tokens, max_tokens=8)
    lazy = ask(starter, tokens, max_tokens=8, grammar=grammar)
    assert lazy.ids == plain.ids


def test_a_broken_grammar_is_refused_and_the_next_request_works(hybrid: EngineModel) -> None:
    with pytest.raises(EngineRefused) as caught:
        ask(hybrid, [1, 2, 3], grammar=Grammar("root ::= ((("))
    assert caught.value.facts["status"] == 400
    assert len(ask(hybrid, [1, 2, 3], ignore_eos=True).ids) == 4


def test_the_same_seed_gives_the_same_answer(hybrid: EngineModel) -> None:
    hot = Sampling(temperature=1.2, seed=42)
    first = ask(hybrid, range(70, 99), sampling=hot, max_tokens=12, ignore_eos=True)
    again = ask(hybrid, range(70, 99), sampling=hot, max_tokens=12, ignore_eos=True)
    assert first.ids == again.ids


def test_logit_bias_forbids_a_token(hybrid: EngineModel) -> None:
    first = ask(hybrid, range(30, 50), max_tokens=1, ignore_eos=True).ids[0]
    banned = Sampling(temperature=0, logit_bias=((first, -100.0),))
    assert ask(hybrid, range(30, 50), sampling=banned, max_tokens=1).ids[0] != first


def test_penalties_change_a_repeating_answer(hybrid: EngineModel) -> None:
    free = ask(hybrid, range(30, 50), max_tokens=40, ignore_eos=True)
    strict = Sampling(temperature=0, repeat_penalty=1.8, presence_penalty=1.0)
    changed = ask(hybrid, range(30, 50), sampling=strict, max_tokens=40, ignore_eos=True)
    assert len(set(changed.ids)) >= len(set(free.ids))


def test_log_probabilities_are_those_of_the_model(hybrid: EngineModel) -> None:
    sampling = Sampling(temperature=0, logprobs=3)
    result = ask(hybrid, range(30, 50), sampling=sampling, max_tokens=3, ignore_eos=True)
    found = [entry for chunk in result.chunks for entry in chunk.logprobs]
    assert [entry.token_id for entry in found] == result.ids
    for entry in found:
        assert len(entry.top) == 3
        assert entry.top[0][0] == entry.token_id
        assert entry.logprob == entry.top[0][2] <= 0
        assert entry.top[0][2] >= entry.top[1][2] >= entry.top[2][2]


def test_a_failed_decode_ends_the_request_and_leaves_an_empty_sequence(
    hybrid: EngineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise DecodeFailed(-3)

    with monkeypatch.context() as patch:
        patch.setattr(hybrid.context, "decode", fail)
        with pytest.raises(EngineError) as caught:
            ask(hybrid, range(300, 340))
    assert caught.value.facts["decode_code"] == -3
    again = ask(hybrid, range(300, 340))
    assert again.evaluated == 40


def test_a_bug_in_the_loop_fails_the_request_but_not_the_thread(
    hybrid: EngineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bool:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(hybrid.context, "decode", fail)
        with pytest.raises(EngineError):
            ask(hybrid, range(340, 380))
    assert len(ask(hybrid, range(340, 380), ignore_eos=True).ids) == 4


def test_unloading_ends_what_is_running(hybrid_model_path: Path) -> None:
    async def scenario() -> None:
        with opened(hybrid_model_path, n_ctx=1024) as model:
            answer = asyncio.create_task(generate(model, _request(10, max_tokens=900)))
            for _ in range(500):
                await asyncio.sleep(0.01)
                if model.scheduler.n_active:
                    break
            await asyncio.to_thread(model.scheduler.close)
            with pytest.raises(EngineError):
                await answer
            with pytest.raises(EngineError):
                model.submit(_request(10))

    asyncio.run(scenario())
