"""`garret serve` without --api-key: any key opens /v1, none opens nothing, control stays shut."""

from __future__ import annotations

import httpx
import pytest

from app.core.control import EngineBoot
from tests.engine.api.harness import TOKEN, client, run
from tests.scripted_engine import ScriptedModel


def status(key: str | None, *, share: bool = True, path: str = "/v1/models") -> int:
    async def work() -> httpx.Response:
        boot = EngineBoot(token=TOKEN, share=share, any_user_key=True)
        async with client(ScriptedModel(), boot, key) as http:
            return await http.get(path)

    return int(run(work).status_code)


@pytest.mark.parametrize("key", ["dummy", "sk-local", "x"])
def test_any_key_opens_the_endpoint(key: str) -> None:
    assert status(key) == 200


def test_no_key_opens_nothing() -> None:
    assert status(None) == 401


def test_any_key_opens_nothing_while_sharing_is_off() -> None:
    assert status("dummy", share=False) == 401


def test_any_key_never_opens_the_control_routes() -> None:
    assert status("dummy", path="/control/status") == 403
