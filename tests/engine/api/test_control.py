"""The app's own routes."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from app.core.control import EngineStatus, LoadEvent
from app.core.errors import OutOfMemory
from app.core.prompt_states import PromptStates
from tests.engine.api.harness import TOKEN, client, data_of, get, post, run
from tests.engine.api.live import serving
from tests.scripted_engine import CHATML_TEMPLATE, ScriptedModel, ScriptedService

SPEC = {"model_path": "/m/x.gguf", "model_id": "scripted", "n_ctx": 512, "unknown": 1}


def test_a_load_streams_its_progress_and_the_model() -> None:
    model = ScriptedModel()
    service = ScriptedService(model)
    service.load_events = [LoadEvent(0.5), LoadEvent(1.0, model=model.info)]
    events = [LoadEvent.from_json(e) for e in data_of(post(service, "/control/load", SPEC))]
    assert [event.fraction for event in events] == [0.5, 1.0]
    assert events[-1].model is not None
    assert service.specs[0].n_ctx == 512


def test_a_load_that_fails_ends_with_the_typed_error() -> None:
    service = ScriptedService()
    failure = OutOfMemory("It does not fit.", "Choose a smaller one.", needed_bytes=5)
    service.load_events = [LoadEvent(error=failure.to_json())]
    events = data_of(post(service, "/control/load", SPEC))
    assert events[-1]["error"]["code"] == "out_of_memory"


def test_a_load_without_a_path_is_refused() -> None:
    assert post(ScriptedService(), "/control/load", {"model_id": "x"}).status_code == 400


def test_status_names_what_is_loaded() -> None:
    status = EngineStatus.from_json(get(ScriptedModel(), "/control/status").json())
    assert status.state == "ready"
    assert status.models[0].model_id == "scripted"


def test_unload_reaches_the_service() -> None:
    service = ScriptedService(ScriptedModel())
    assert post(service, "/control/unload", {"model": "scripted"}).status_code == 200
    assert service.models == {}


def test_health_says_what_runs() -> None:
    assert get(ScriptedModel(), "/healthz").json()["status"] == "ok"


def test_a_loaded_model_says_how_it_calls_tools() -> None:
    knows_tools = (
        "{% for t in tools or [] %}<tool_call>{{ t.function.name + t.function.description }}"
        "{% endfor %}"
    )
    for template, expected in ((CHATML_TEMPLATE + knows_tools, "hermes"), (CHATML_TEMPLATE, "")):
        model = ScriptedModel(template=template)
        service = ScriptedService(model)
        service.load_events = [LoadEvent(1.0, model=model.info)]

        async def work(service: ScriptedService = service) -> tuple[LoadEvent, EngineStatus]:
            async with client(service) as http:
                loaded = await http.post("/control/load", json=SPEC)
                status = await http.get("/control/status")
            event = LoadEvent.from_json(data_of(loaded)[-1])
            return event, EngineStatus.from_json(status.json())

        event, status = run(work)
        assert event.model is not None
        assert event.model.tool_format == expected
        assert status.models[0].tool_format == expected


def test_closing_the_stream_of_a_load_cancels_it() -> None:
    service = ScriptedService()
    service.load_events = [LoadEvent(0.1), 30.0, LoadEvent(1.0)]
    key = {"Authorization": f"Bearer {TOKEN}"}
    with (
        serving(service) as url,
        httpx.stream("POST", f"{url}/control/load", json=SPEC, headers=key) as response,
    ):
        assert b"0.1" in next(response.iter_bytes())
        response.close()
        deadline = time.monotonic() + 10
        while not service.load_closed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.load_closed


def test_saved_states_are_cleared_on_request() -> None:
    assert post(ScriptedService(), "/control/clear_states", {}).json() == {"freed_bytes": 7}


def test_clearing_removes_only_saved_states(tmp_path: Path) -> None:
    (tmp_path / "a.state").write_bytes(b"12345")
    (tmp_path / "keep.txt").write_text("x")
    assert PromptStates(tmp_path).clear() == 5
    assert {path.name for path in tmp_path.iterdir()} == {"forgotten.json", "keep.txt"}
    assert PromptStates(tmp_path / "nowhere").clear() == 0
