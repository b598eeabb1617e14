"""What the settings fix about a load; the plan decides the rest."""

from __future__ import annotations

from typing import cast

from app.core.control import KvType
from app.core.settings import Settings
from app.library.fit.plan import Wish


def wish_of(settings: Settings) -> Wish:
    """The user's wishes for every model."""
    chosen = cast(KvType, settings.text("engine.kv_type"))
    return Wish(
        n_ctx=settings.number("engine.context_tokens"),
        n_parallel=settings.number("engine.parallel"),
        # the default leaves it to the plan, which takes a smaller one only where memory is short
        kv_type=None if chosen == "f16" else chosen,
    )
