"""Which model to load when nobody said which, and how to load it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from app.core.control import LoadSpec
from app.library.catalogue import load_catalogue
from app.library.fit.plan import Wish, make_plan
from app.library.hardware import Hardware, detect_hardware
from app.library.records import InstalledModel
from app.library.store import Store

# SmolLM2's model card; at higher temperatures a model this small soon writes nonsense.
_STARTER_SAMPLING = {"temperature": 0.2, "top_p": 0.9}


def usual_model(store: Store, last_used: str = "") -> InstalledModel | None:
    """The model used last, else the newest real one, else the starter; None with none installed."""
    models = [model for model in store.installed() if model.is_present]
    for model in models:
        if model.model_id == last_used:
            return model
    real = [model for model in models if not model.is_starter]
    return next(iter(real or models), None)


def recommended_sampling(model: InstalledModel) -> Mapping[str, float]:
    """The maker's advice for a model the catalogue knows; empty otherwise."""
    if model.is_starter:
        return _STARTER_SAMPLING
    catalogue = load_catalogue()
    for file in model.files:
        entry = catalogue.by_hash(file.sha256) or catalogue.by_name(file.path.name)
        if entry is not None:
            return entry[0].sampling
    return {}


def load_spec_for(
    name: str | None,
    store: Store,
    *,
    last_used: str = "",
    wish: Wish | None = None,
    hardware: Hardware | None = None,
    freed_bytes: int = 0,
) -> LoadSpec | None:
    """How to load an installed model or a GGUF's path; without a name the usual model.

    None when no name was given and nothing is installed. `wish` is what the user fixed, the rest
    is planned for `hardware` (this machine, looked at now); `freed_bytes` is what the model that
    is loaded now gives back first. Blocks for about half a second.

    Raises: ModelNotFound, BadModelFile, UnsupportedModel.
    """
    model = store.find(name) if name else usual_model(store, last_used)
    if model is None:
        return None
    machine = hardware or detect_hardware(store.root)
    plan = make_plan(model.facts, machine, wish, now=True, freed_bytes=freed_bytes)
    spec = plan.spec(str(model.path), model.model_id)
    return replace(spec, sampling=dict(recommended_sampling(model)))
