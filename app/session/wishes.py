"""What the settings fix about a load; the plan decides the rest."""

from __future__ import annotations

from typing import cast

from app.core.control import KvType
from app.core.settings import Settings
from app.library.fit.plan import Wish


def wish_of(settings: Settings, *, n_ctx: int = 0, n_parallel: int = 0) -> Wish:
    """The user's wishes; what a command line says goes first."""
    chosen = cast(KvType, settings.text("engine.kv_type"))
    return Wish(
        n_ctx=n_ctx or settings.number("engine.context_tokens"),
        n_parallel=n_parallel or settings.number("engine.parallel"),
        # the default leaves it to the plan, which takes a smaller one only where memory is short
        kv_type=None if chosen == "f16" else chosen,
    )
