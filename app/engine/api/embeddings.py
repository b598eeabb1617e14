"""POST /v1/embeddings."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.engine.api.body import bad, integer, note_unknown, read_object, text
from app.engine.api.completions import token_ids
from app.engine.api.models import ModelDirectory
from app.engine.api.sse import until_gone
from app.engine.chat.answer import ChatModel

MAX_INPUTS = 2048


class Embeddings:
    """The endpoint; needs a model that was loaded for embeddings."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models

    async def create(self, request: Request) -> Response:
        """One vector of length 1 for each input."""
        body = await read_object(request)
        note_unknown(
            body, ("model", "input", "encoding_format", "dimensions", "user"), "embeddings"
        )
        form = text(body, "encoding_format", "float")
        if form not in ("float", "base64"):
            raise bad("encoding_format", "must be float or base64")
        chat = await self._models.chat(text(body, "model") or self._models.embedding_name())
        model = chat.model
        inputs = await asyncio.to_thread(_inputs, body, chat)
        vectors = await until_gone(request, model.embed(inputs))
        size = integer(body, "dimensions", 1, 1_000_000)
        if size is not None and any(size > len(vector) for vector in vectors):
            raise bad("dimensions", f"must be at most {len(vectors[0])} for this model")
        count = sum(len(tokens) for tokens in inputs)
        return JSONResponse(
            {
                "object": "list",
                "model": model.info.model_id,
                "data": [
                    {
                        "object": "embedding",
                        "index": index,
                        "embedding": _encoded(_normalised(vector[:size]), form),
                    }
                    for index, vector in enumerate(vectors)
                ],
                "usage": {"prompt_tokens": count, "total_tokens": count},
            }
        )


def _inputs(body: Mapping[str, Any], chat: ChatModel) -> list[list[int]]:
    model = chat.model
    raw = body.get("input")
    if isinstance(raw, str) or (isinstance(raw, list) and raw and isinstance(raw[0], int)):
        raw = [raw]
    if not isinstance(raw, list) or not raw or len(raw) > MAX_INPUTS:
        raise bad("input", f"must be a text, token ids, or a list of up to {MAX_INPUTS} of them")
    found = []
    for item in raw:
        if isinstance(item, str):
            if not item:
                raise bad("input", "must not be empty")
            chat.refuse_endless(item)
            tokens = model.tokenizer.tokenize(item, parse_special=False, add_special=True)
        else:
            tokens = token_ids(item, model.info.n_vocab, "input")
        if not tokens:
            raise bad("input", "must not be empty")
        found.append(tokens)
    return found


def _normalised(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length > 0 else list(vector)


def _encoded(vector: list[float], form: str) -> list[float] | str:
    if form == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
