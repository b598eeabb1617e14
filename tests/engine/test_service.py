"""Loading, unloading and finding models; what is wrong with a file is one sentence."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.core.control import EngineBoot, LoadEvent, LoadSpec
from app.core.errors import (
    BadModelFile,
    ModelNotFound,
    NoModelLoaded,
    OutOfMemory,
    UnsupportedModel,
    error_from_json,
)
from app.engine import loaded_model
from app.engine import service as service_module
from app.engine.service import Service
from app.engine.types import GenerationRequest, Prompt
from tests.engine.models import GREEDY, generate


def _spec(path: Path, name: str = "model", **more: Any) -> LoadSpec:
    values = {"n_ctx": 512, "n_parallel": 2, "n_threads": 1, **more}
    return LoadSpec(model_path=str(path), model_id=name, **values)


@asynccontextmanager
async def _service(boot: EngineBoot | None = None) -> AsyncIterator[Service]:
    service = Service(boot or EngineBoot(token="x"))
    service.start()
    try:
        yield service
    finally:
        await service.close()


async def _load(service: Service, spec: LoadSpec) -> LoadEvent:
    return [event async for event in service.load(spec)][-1]


def run(scenario: Callable[[Service], Awaitable[None]], boot: EngineBoot | None = None) -> None:
    async def main() -> None:
        async with _service(boot) as service:
            await scenario(service)

    asyncio.run(main())


def test_a_load_reports_progress_and_then_the_model(hybrid_model_path: Path) -> None:
    async def scenario(service: Service) -> None:
        events = [event async for event in service.load(_spec(hybrid_model_path))]
        fractions = [event.fraction for event in events]
        assert fractions == sorted(fractions)
        assert events[-1].model is not None
        assert events[-1].model.is_hybrid
        assert events[-1].model.architecture == "qwen3next"
        assert events[-1].model.n_ctx == 512
        assert events[-1].model.load_s > 0
        status = service.status()
        assert status.state == "ready"
        (use,) = status.memory["model"]
        assert use.weights_bytes > 5_000_000
        assert use.state_bytes > 0
        assert use.kv_bytes > 0
        assert use.compute_bytes > 0

    run(scenario)


def test_closing_a_load_cancels_it(starter_model_path: Path) -> None:
    async def scenario(service: Service) -> None:
        loading = service.load(_spec(starter_model_path))
        async for event in loading:
            assert event.error is None
            break
        await loading.aclose()  # type: ignore[attr-defined]
        assert service.status().loading is None
        assert service.status().models == ()
        assert (await _load(service, _spec(starter_model_path))).model is not None

    run(scenario)


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[: len(data) // 2], BadModelFile),
        (lambda data: data[:100], BadModelFile),
        (lambda data: random.Random(1).randbytes(4096), BadModelFile),
        (lambda data: b"", BadModelFile),
        (lambda data: data.replace(b"qwen3next", b"martian13"), UnsupportedModel),
        (lambda data: data[:4] + b"\x63" + data[5:], UnsupportedModel),
    ],
    ids=["half", "header only", "random", "empty", "unknown architecture", "future version"],
)
def test_a_bad_file_is_one_sentence_and_the_next_load_works(
    damage: Callable[[bytes], bytes], error: type, hybrid_model_path: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(damage(hybrid_model_path.read_bytes()))

    async def scenario(service: Service) -> None:
        event = await _load(service, _spec(bad))
        assert event.error is not None
        problem = error_from_json(event.error)
        assert type(problem) is error
        assert problem.sentence.endswith(".")
        assert problem.remedy
        assert str(tmp_path) not in str(problem)
        assert service.status().state == "failed"
        assert (await _load(service, _spec(hybrid_model_path))).error is None

    run(scenario)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        event = await _load(service, _spec(tmp_path / "none.gguf"))
        assert event.error is not None
        assert event.error["code"] == "model_not_found"

    run(scenario)


def test_models_are_loaded_by_name_on_demand(hybrid_model_path: Path) -> None:
    boot = EngineBoot(
        token="x", models={"known": dataclasses.asdict(_spec(hybrid_model_path, "known"))}
    )

    async def scenario(service: Service) -> None:
        with pytest.raises(NoModelLoaded):
            await service.model(None)
        assert [info.model_id for info in service.available()] == ["known"]
        both = await asyncio.gather(service.model("known"), service.model("known"))
        assert both[0] is both[1]
        assert await service.model("") is both[0]
        with pytest.raises(ModelNotFound):
            await service.model("unknown")
        service.configure({"models": {}})
        assert [info.model_id for info in service.available()] == ["known"]

    run(scenario, boot)


def test_a_failing_load_on_demand_raises_its_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF\x03" + bytes(100))
    boot = EngineBoot(token="x", models={"bad": dataclasses.asdict(_spec(bad, "bad"))})

    async def scenario(service: Service) -> None:
        with pytest.raises(BadModelFile):
            await service.model("bad")

    run(scenario, boot)


def test_two_models_answer_side_by_side(hybrid_model_path: Path, starter_model_path: Path) -> None:
    async def scenario(service: Service) -> None:
        await _load(service, _spec(hybrid_model_path, "one"))
        await _load(service, _spec(starter_model_path, "two"))
        request = GenerationRequest(
            Prompt(tuple(range(30, 60))), GREEDY, max_tokens=3, ignore_eos=True
        )
        models = [await service.model(name) for name in ("one", "two")]
        results = await asyncio.gather(*(generate(model, request) for model in models))
        assert [len(result.ids) for result in results] == [3, 3]
        figures = service.metrics()
        assert figures["models_loaded"] == 2
        assert figures["requests_total"] == 2
        assert figures["generated_tokens_total"] == 6
        await service.unload("one")
        assert [info.model_id for info in service.status().models] == ["two"]

    run(scenario)


def test_an_idle_model_makes_room_for_the_next(
    hybrid_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(service: Service) -> None:
        await _load(service, _spec(hybrid_model_path, "old"))
        free = [1 << 20, 1 << 40]
        monkeypatch.setattr(service_module, "available_bytes", lambda: free.pop(0))
        assert (await _load(service, _spec(hybrid_model_path, "new"))).error is None
        assert [info.model_id for info in service.status().models] == ["new"]

    run(scenario)


def test_what_cannot_fit_is_refused_with_the_figures(
    hybrid_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "available_bytes", lambda: 1 << 20)

    async def scenario(service: Service) -> None:
        event = await _load(service, _spec(hybrid_model_path))
        assert event.error is not None
        problem = error_from_json(event.error)
        assert isinstance(problem, OutOfMemory)
        assert problem.facts["needed_bytes"] > problem.facts["available_bytes"]

    run(scenario)


def test_an_idle_model_is_let_go(hybrid_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "_IDLE_CHECK_S", 0.05)

    async def scenario(service: Service) -> None:
        await _load(service, _spec(hybrid_model_path, keep_alive_s=0.2))
        for _ in range(100):
            if not service.status().models:
                return
            await asyncio.sleep(0.05)
        pytest.fail("still loaded")

    run(scenario)


def test_the_context_is_planned_before_the_weights_take_their_memory(
    hybrid_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the free memory falls with the load; counting the weights twice left 2,048."""
    order: list[str] = []
    plan, load = loaded_model.plan_context, loaded_model.load_weights

    def planned(*args: Any) -> Any:
        order.append("plan")
        return plan(*args)

    def loaded(*args: Any) -> Any:
        order.append("load")
        return load(*args)

    monkeypatch.setattr(loaded_model, "plan_context", planned)
    monkeypatch.setattr(loaded_model, "load_weights", loaded)

    async def scenario(service: Service) -> None:
        event = await _load(service, _spec(hybrid_model_path, n_ctx=0))
        assert event.model is not None
        assert event.model.n_ctx == 32_768

    run(scenario)
    assert order == ["plan", "load"]
