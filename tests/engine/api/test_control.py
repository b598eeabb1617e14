"""The app's own routes."""

from __future__ import annotations

from app.core.control import EngineStatus, LoadEvent
from app.core.errors import OutOfMemory
from tests.engine.api.harness import data_of, get, post
from tests.scripted_engine import ScriptedModel, ScriptedService

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
