"""Which model to load when nobody said which, and how."""

from __future__ import annotations

from app.core.control import LoadSpec
from app.library.records import InstalledModel
from app.library.starter import installed_starter
from app.library.store import Store


def usual_model(store: Store, last_used: str = "") -> InstalledModel | None:
    """The model used last, else the newest real one, else the starter; None with none installed."""
    models = [model for model in store.installed() if model.is_present]
    for model in models:
        if model.model_id == last_used:
            return model
    starter = installed_starter(store)
    real = [model for model in models if starter is None or model.model_id != starter.model_id]
    return next(iter(real or models), None)


def load_spec_for(
    name: str | None, store: Store, *, last_used: str = "", n_ctx: int = 0
) -> LoadSpec | None:
    """How to load an installed model or a GGUF's path; without a name the usual model.

    None when no name was given and nothing is installed. `n_ctx` 0 leaves it to the engine.

    Raises: ModelNotFound, BadModelFile, UnsupportedModel.
    """
    model = store.find(name) if name else usual_model(store, last_used)
    if model is None:
        return None
    return LoadSpec(model_path=str(model.path), model_id=model.model_id, n_ctx=n_ctx)
