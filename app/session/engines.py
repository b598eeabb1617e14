"""Builds the engine the settings name: another one's address, or our own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.client.backends import installation
from app.client.openai_chat import OpenAIChatEngine
from app.client.spawn import SpareEngine, engine_log
from app.client.supervisor import EngineSupervisor, SupervisedChatEngine
from app.core.control import EngineBoot
from app.core.engine_view import EngineView
from app.core.paths import Paths
from app.core.ports import ChatEngine
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.model_settings import ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.store import Store
from app.session.engine_seat import Control
from app.session.local_engine import LocalEngine
from app.session.remote_engine import RemoteEngine


def build_engine(
    paths: Paths,
    settings: Settings,
    on_change: Callable[[EngineView], None],
    spare: SpareEngine | None = None,
) -> tuple[Control, ChatEngine]:
    """The control and the chat side of one engine; nothing but `spare` is started yet."""
    if url := settings.text("engine.remote_url"):
        if spare is not None:
            spare.discard()
        chat = OpenAIChatEngine(url, settings.text("engine.remote_key") or None)
        return RemoteEngine(chat, on_change, settings.text("models.last")), chat
    supervisor = EngineSupervisor(
        engine_boot(paths, settings),
        engine_log(paths),
        on_change=on_change,
        spare=spare,
        backends=installation(paths.backends_file),
    )
    store = Store(models_folder(paths, settings))
    local = LocalEngine(
        supervisor,
        store,
        settings,
        load_knowledge(paths),
        folder=lambda: models_folder(paths, settings),
    )
    return local, SupervisedChatEngine(supervisor)


def load_knowledge(paths: Paths) -> LoadKnowledge:
    """What is known about loading single models here."""
    return LoadKnowledge(
        ModelSettingsFile(paths.model_settings_file), Outcomes(paths.load_outcomes_file)
    )


def models_folder(paths: Paths, settings: Settings) -> Path:
    """Where models are: the user's choice, or Garret's own folder."""
    chosen = settings.text("models.folder")
    return Path(chosen).expanduser() if chosen else paths.models


def engine_boot(paths: Paths, settings: Settings) -> EngineBoot:
    """What the engine process is told at its start: the endpoint's switch, keys and port."""
    share = settings.flag("endpoint.enabled")
    return EngineBoot(
        token="",
        port=settings.number("endpoint.port") if share else 0,
        share=share,
        port_may_fail=True,
        user_keys=settings.items("endpoint.keys"),
        any_user_key=share and not settings.flag("endpoint.require_key"),
        prefix_cache_dir=str(paths.prefix_cache),
        log_path=str(engine_log(paths)),
    )
