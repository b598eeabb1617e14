"""The models a request may name, and the chat state that belongs to each loaded one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from app.core.control import ModelInfo
from app.core.errors import ModelNotFound
from app.engine.chat.answer import ChatModel
from app.engine.chat.renderer import TemplateRenderer
from app.engine.types import EngineService, LoadedModel

CLAUDE_ALIAS = "claude-local"
# what Claude Code asks for when nobody told it a model: the loaded one answers
_CLAUDE_OWN = re.compile(r"claude-(haiku|sonnet|opus|\d)")


class ModelDirectory:
    """Finds models by name. Claude Code's picker shows only ids beginning with `claude`, so the
    loaded model also goes by such an alias."""

    def __init__(self, service: EngineService, renderer: TemplateRenderer) -> None:
        self._service = service
        self._renderer = renderer
        self._chat: dict[str, ChatModel] = {}

    async def claude(self, name: str) -> ChatModel:
        """Like `chat`, for Anthropic's API, where Claude's own names mean the loaded model."""
        known = any(info.model_id == name for info in self.listed())
        return await self.chat(None if _CLAUDE_OWN.match(name) and not known else name)

    async def chat(self, name: str | None) -> ChatModel:
        """The named model, loaded if need be; the loaded one for no name.

        Raises:
            ModelNotFound, NoModelLoaded and what a load can raise.
        """
        loaded = await self.loaded(name)
        key = loaded.info.model_id
        known = self._chat.get(key)
        if known is None or known.model is not loaded:
            known = ChatModel(loaded, self._renderer)
            self._chat[key] = known
            self.forget_unloaded(key)
        return known

    async def loaded(self, name: str | None) -> LoadedModel:
        """The model itself."""
        if name is not None and name.split("[")[0].startswith(CLAUDE_ALIAS):
            name = None if name.split("[")[0] == CLAUDE_ALIAS else self._behind_alias(name)
        return await self._service.model(name or None)

    def embedding_name(self) -> str:
        """A loaded model that makes embeddings; empty when there is none."""
        infos = self._service.status().models
        return next((info.model_id for info in infos if info.is_embedding), "")

    def listed(self) -> list[ModelInfo]:
        return [self.described(info) for info in self._service.available()]

    def described(self, info: ModelInfo) -> ModelInfo:
        """The model's values with what its chat template told."""
        known = self._chat.get(info.model_id)
        return replace(info, tool_format=known.tool_format) if known is not None else info

    def find(self, name: str) -> ModelInfo:
        """What is known about a model without loading it.

        Raises:
            ModelNotFound: there is none of that name.
        """
        wanted = name
        if name.startswith(CLAUDE_ALIAS):
            wanted = self._behind_alias(name)
        for info in self.listed():
            if info.model_id == wanted:
                return info
        raise ModelNotFound(
            f"There is no model {name[:200]!r} here.", "Ask /v1/models for the names."
        )

    def _behind_alias(self, name: str) -> str:
        alias = name.split("[")[0]
        for info in self.listed():
            if alias in (CLAUDE_ALIAS, alias_of(info)):
                return info.model_id
        return name

    def forget_unloaded(self, newest: str = "") -> None:
        """Drops what was kept for models that are gone."""
        loaded = {info.model_id for info in self._service.status().models} | {newest}
        for key in [key for key in self._chat if key not in loaded]:
            del self._chat[key]


def alias_of(info: ModelInfo) -> str:
    """The name under which Claude Code's model picker shows a model."""
    return f"{CLAUDE_ALIAS}-{info.model_id}"


def priority_of(request: Request) -> int:
    """The app's own chat goes first."""
    return 0 if request.scope.get("garret.app") else 1


def model_entry(info: ModelInfo, created_s: int) -> dict[str, Any]:
    """A model in OpenAI's list, with what llama-server adds."""
    return {
        "id": info.model_id,
        "object": "model",
        "created": created_s,
        "owned_by": "garret",
        "meta": {
            "n_ctx": info.n_ctx or None,
            "n_ctx_train": info.n_ctx_train or None,
            "n_params": info.n_params,
            "n_vocab": info.n_vocab,
            "size": info.size_bytes,
            "architecture": info.architecture,
            "tool_format": info.tool_format,
        },
        "context_length": info.n_ctx or None,
        "max_model_len": info.n_ctx or None,
    }
