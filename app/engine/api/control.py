"""The app's own routes: load, unload, status, configure."""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.control import LoadEvent, LoadSpec
from app.core.errors import EngineRefused, GarretError, OutOfMemory
from app.engine.api.body import bad, read_object, text
from app.engine.api.errors import ApiError
from app.engine.api.models import ModelDirectory
from app.engine.api.security import AccessRules
from app.engine.api.sse import EventStream, data_event
from app.engine.types import EngineService

_log = logging.getLogger(__name__)
_FLAGS = ("share", "any_user_key")
_LISTS = ("user_keys", "allowed_origins", "allowed_hosts")


class ControlRoutes:
    """Only the app's own token reaches these."""

    def __init__(self, service: EngineService, models: ModelDirectory, rules: AccessRules) -> None:
        self._service = service
        self._models = models
        self._rules = rules

    async def load(self, request: Request) -> Response:
        """Streams LoadEvents; closing the stream cancels the load."""
        body = await read_object(request)
        if not text(body, "model_path") or not text(body, "model_id"):
            raise bad("model_path", "and 'model_id' are required")
        try:
            spec = LoadSpec.from_json(
                {**body, "tensor_split": tuple(body.get("tensor_split") or ())}
            )
        except TypeError:
            raise ApiError(400, "This is not a load specification.") from None
        return EventStream(self._load(spec))

    async def _load(self, spec: LoadSpec) -> AsyncGenerator[bytes, None]:
        loading: Any = self._service.load(spec)
        try:
            async with aclosing(loading):
                async for event in loading:
                    if event.model is not None:
                        await self._warm(event.model.model_id)
                        described = self._models.described(event.model)
                        yield data_event(dataclasses.replace(event, model=described).to_json())
                    else:
                        yield data_event(event.to_json())
        except GarretError as error:
            yield data_event(LoadEvent(error=error.to_json()).to_json())
        except Exception as error:  # noqa: BLE001  an API handler's edge: whoever waits must hear
            _log.exception("loading %s", spec.model_id)
            yield data_event(LoadEvent(error=_mishap(error, spec.model_id).to_json()).to_json())

    async def _warm(self, model_id: str) -> None:
        try:
            await (await self._models.chat(model_id)).warm()
        except GarretError:
            return  # whoever asks the model hears what is wrong with its template

    async def unload(self, request: Request) -> Response:
        body = await read_object(request)
        await self._service.unload(text(body, "model"))
        self._models.forget_unloaded()
        return JSONResponse({"ok": True})

    async def status(self, request: Request) -> Response:
        del request
        status = self._service.status()
        models = tuple(self._models.described(info) for info in status.models)
        return JSONResponse(dataclasses.replace(status, models=models).to_json())

    async def clear_states(self, request: Request) -> Response:
        """Removes what conversations left on disk to be reopened quickly."""
        await read_object(request)
        return JSONResponse({"freed_bytes": await self._service.clear_states()})

    async def configure(self, request: Request) -> Response:
        """Live changes: who may ask, and which models can be loaded by name."""
        body = await read_object(request)
        changes: dict[str, Any] = {}
        for name in _FLAGS:
            if (value := body.get(name)) is not None:
                if not isinstance(value, bool):
                    raise bad(name, "must be true or false")
                changes[name] = value
        for name in _LISTS:
            if (value := body.get(name)) is not None:
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise bad(name, "must be a list of strings")
                changes[name] = tuple(value)
        for name, value in changes.items():
            setattr(self._rules, name, value)
        if (models := body.get("models")) is not None:
            if not isinstance(models, dict):
                raise bad("models", "must be an object")
            changes["models"] = models
        self._service.configure(changes)
        return JSONResponse({"ok": True, "share": self._rules.share})


def rules_of(boot: Any) -> AccessRules:
    """The access rules an engine starts with."""
    names = {field.name for field in dataclasses.fields(AccessRules)}
    return AccessRules(**{name: getattr(boot, name) for name in names})


def _mishap(error: Exception, model_id: str) -> GarretError:
    """A load that broke off: for want of memory, as far as one can tell, or by a mistake of ours.
    A thread that cannot start has no room for its stack."""
    no_memory = isinstance(error, MemoryError) or "can't start new thread" in str(error)
    if no_memory or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return OutOfMemory(
            f"There was not enough memory to load {model_id}.",
            "Choose a smaller model or context, or close other programs.",
        )
    return EngineRefused(
        f"The engine made a mistake while it was loading {model_id}.",
        "Try again; the log says more.",
    )
