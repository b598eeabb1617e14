"""Health, lists of models in three shapes, tokenizing, metrics."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app import __version__
from app.core.control import ModelInfo
from app.engine.api.body import bad, flag, read_object, text
from app.engine.api.completions import token_ids
from app.engine.api.models import ModelDirectory, alias_of, model_entry
from app.engine.types import EngineService, LoadedModel

_METRIC_NAME = re.compile(r"[^a-zA-Z0-9_]")


class General:
    """Everything that generates nothing."""

    def __init__(self, service: EngineService, models: ModelDirectory) -> None:
        self._service = service
        self._models = models
        self._started_s = int(time.time())

    async def alive(self, request: Request) -> Response:
        """The empty answer that clients look for before they begin."""
        del request
        return PlainTextResponse("Garret is running")

    async def health(self, request: Request) -> Response:
        del request
        status = self._service.status()
        return JSONResponse({"status": "ok", "state": status.state, "version": __version__})

    async def models(self, request: Request) -> Response:
        """All models, in Anthropic's shape for clients that say they speak it."""
        infos = self._models.listed()
        if "anthropic-version" in request.headers:
            return JSONResponse(self._anthropic_list(infos, request))
        entries = [model_entry(info, self._started_s) for info in infos]
        return JSONResponse({"object": "list", "data": entries})

    async def model(self, request: Request) -> Response:
        """One model by name."""
        name = request.path_params["name"]
        info = self._models.find(name)
        if "anthropic-version" in request.headers:
            return JSONResponse(self._anthropic_entry(name, info))
        return JSONResponse({**model_entry(info, self._started_s), "id": name})

    def _anthropic_list(self, infos: list[ModelInfo], request: Request) -> dict[str, Any]:
        entries = [self._anthropic_entry(info.model_id, info) for info in infos]
        loaded = {info.model_id for info in self._service.status().models}
        entries += [
            self._anthropic_entry(alias_of(info), info) for info in infos if info.model_id in loaded
        ]
        asked = request.query_params
        names = [entry["id"] for entry in entries]
        if (after := asked.get("after_id")) in names:
            entries = entries[names.index(after) + 1 :]
        elif (before := asked.get("before_id")) in names:
            entries = entries[: names.index(before)]
        limit = asked.get("limit", "")
        wanted = int(limit[:9]) if limit.isascii() and limit.isdigit() else len(entries)
        from_end = "before_id" in asked and wanted > 0
        shown = entries[-wanted:] if from_end else entries[: max(1, wanted)]
        return {
            "data": shown,
            "has_more": len(shown) < len(entries),
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
        }

    def _anthropic_entry(self, name: str, info: ModelInfo) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._started_s, tz=UTC)
        return {
            "type": "model",
            "id": name,
            "display_name": info.model_id,
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_input_tokens": info.n_ctx or None,
        }

    async def tokenize(self, request: Request) -> Response:
        """Token ids of a text; control tokens count as such only with `parse_special`."""
        body = await read_object(request)
        if not isinstance(body.get("content"), str):
            raise bad("content", "must be a string")
        model = await self._models.loaded(text(body, "model"))
        special = flag(body, "parse_special")
        tokens = await asyncio.to_thread(
            model.tokenizer.tokenize, body["content"], parse_special=special
        )
        if not flag(body, "with_pieces"):
            return JSONResponse({"tokens": tokens, "count": len(tokens)})
        pieces = await asyncio.to_thread(_pieces, tokens, model)
        return JSONResponse({"tokens": pieces, "count": len(tokens)})

    async def detokenize(self, request: Request) -> Response:
        """The text of token ids."""
        body = await read_object(request)
        model = await self._models.loaded(text(body, "model"))
        content = await asyncio.to_thread(_text_of, body.get("tokens"), model)
        return JSONResponse({"content": content})

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        del request
        lines = []
        for name, value in sorted(self._service.metrics().items()):
            full = f"garret_{_METRIC_NAME.sub('_', name)}"
            kind = "counter" if full.endswith("_total") else "gauge"
            lines += [f"# TYPE {full} {kind}", f"{full} {value:g}"]
        return PlainTextResponse(
            "\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8"
        )


def _pieces(tokens: list[int], model: LoadedModel) -> list[dict[str, Any]]:
    piece = model.tokenizer.piece
    return [
        {"id": token, "piece": piece(token, special=True).decode("utf-8", "replace")}
        for token in tokens
    ]


def _text_of(tokens: Any, model: LoadedModel) -> str:
    known = token_ids(tokens, model.info.n_vocab, "tokens")
    data = b"".join(model.tokenizer.piece(token, special=True) for token in known)
    return data.decode("utf-8", "replace")
