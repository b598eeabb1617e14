"""States in memory and on disk: swapped out, brought back, refused when a byte is wrong."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.control import LoadSpec
from app.core.prompt_states import PromptStates, tag_of
from app.engine import sequences as sequences_module
from app.engine.disk_states import DiskStates, model_fingerprint
from app.engine.gguf_header import read_header
from app.engine.loaded_model import DiskCache, EngineModel
from app.engine.saved_states import SavedStates
from tests.engine.models import ask, opened

PROMPT = [(i * 17) % 1900 for i in range(700)]


@contextmanager
def _kept(path: Path, folder: Path, **spec: object) -> Iterator[EngineModel]:
    values = {"n_ctx": 2048, "n_parallel": 1, "n_threads": 1, **spec}
    load = LoadSpec(model_path=str(path), model_id="kept", **values)  # type: ignore[arg-type]
    model = EngineModel.open(
        load, read_header(path), lambda _: True, cache=DiskCache(folder, 1 << 30)
    )
    try:
        yield model
    finally:
        model.close()


@pytest.fixture(params=["hybrid_model_path", "starter_model_path"])
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def test_a_long_chat_survives_a_restart(hybrid_model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prefixes"
    with _kept(hybrid_model_path, folder) as model:
        first = ask(model, PROMPT, boundaries=[400, 650], max_tokens=4, ignore_eos=True)
        assert first.evaluated == 700
    (file,) = folder.glob("*.state")
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with _kept(hybrid_model_path, folder) as model:
        again = ask(model, [*PROMPT, 5, 6, 7], max_tokens=2)
        assert again.evaluated <= 8 + 3
    with _kept(hybrid_model_path, folder) as model:
        edited = ask(model, [*PROMPT[:650], *range(60)], max_tokens=2)
        assert edited.evaluated <= 60 + 8
    with _kept(hybrid_model_path, folder) as model:
        other = ask(model, PROMPT, max_tokens=4, ignore_eos=True)
        assert other.evaluated == 0
        assert other.ids == first.ids


def test_an_attention_chat_survives_a_restart(
    starter_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences_module, "_MIN_DISK_TOKENS", 100)
    prompt = PROMPT[:160]
    with _kept(starter_model_path, tmp_path) as model:
        first = ask(model, prompt, max_tokens=3, ignore_eos=True)
    with _kept(starter_model_path, tmp_path) as model:
        again = ask(model, prompt, max_tokens=3, ignore_eos=True)
        assert again.evaluated == 1
        assert again.ids[:1] == first.ids[:1]


@pytest.mark.parametrize("where", [0.0, 0.0001, 0.01, 0.5, 0.999999])
def test_one_flipped_byte_means_reading_everything_again(
    where: float, hybrid_model_path: Path, tmp_path: Path
) -> None:
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2)
    (file,) = tmp_path.glob("*.state")
    data = bytearray(file.read_bytes())
    data[int(where * (len(data) - 1))] ^= 0x10
    file.write_bytes(data)
    with _kept(hybrid_model_path, tmp_path) as model:
        assert ask(model, PROMPT, max_tokens=2).evaluated == 700


def test_a_truncated_or_foreign_file_is_not_used(hybrid_model_path: Path, tmp_path: Path) -> None:
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2)
    (file,) = tmp_path.glob("*.state")
    file.write_bytes(file.read_bytes()[:-5000])
    (tmp_path / "other.state").write_bytes(b"GARRETS1" + b"\xff" * 100)
    (tmp_path / "half.part").write_bytes(b"left over")
    with _kept(hybrid_model_path, tmp_path) as model:
        assert not list(tmp_path.glob("*.part"))
        assert ask(model, PROMPT, max_tokens=2).evaluated == 700


def test_another_model_build_or_parameter_never_sees_the_state(
    hybrid_model_path: Path, tmp_path: Path
) -> None:
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2)
    with _kept(hybrid_model_path, tmp_path, kv_type="q8_0") as model:
        assert ask(model, PROMPT, max_tokens=2).evaluated == 700
    changed = tmp_path / "changed.gguf"
    data = bytearray(hybrid_model_path.read_bytes())
    data[-5] ^= 1
    changed.write_bytes(data)
    assert model_fingerprint(changed) != model_fingerprint(hybrid_model_path)


def test_a_growing_chat_keeps_one_file(hybrid_model_path: Path, tmp_path: Path) -> None:
    chat = PROMPT[:600]
    for _ in range(3):
        with _kept(hybrid_model_path, tmp_path) as model:
            chat = [*chat, *ask(model, chat, max_tokens=5, ignore_eos=True).ids, 9, 10, 11]
    assert len(list(tmp_path.glob("*.state"))) == 1


def test_a_deleted_chat_takes_its_file_along_and_it_does_not_come_back(
    hybrid_model_path: Path, tmp_path: Path
) -> None:
    gone, kept = tag_of("gone"), tag_of("kept")
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2, tag=gone)
    states = PromptStates(tmp_path)
    assert [path.name.split(".")[1] for path in states.files()] == [gone]
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, [*PROMPT, 5], max_tokens=2, tag=gone)
        ask(model, [*reversed(PROMPT)], max_tokens=2, tag=kept)
        assert states.forget([gone]) > 0  # while the engine still holds it
    assert [path.name.split(".")[1] for path in states.files()] == [kept]


def test_what_was_cleared_is_not_written_again_until_it_is_used_again(
    hybrid_model_path: Path, tmp_path: Path
) -> None:
    states = PromptStates(tmp_path)
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2)
        states.clear()
    assert states.size_bytes() == 0
    with _kept(hybrid_model_path, tmp_path) as model:
        ask(model, PROMPT, max_tokens=2)
    assert states.size_bytes() > 0


def test_a_state_removed_while_it_is_written_does_not_stay(tmp_path: Path) -> None:
    class Late(DiskStates):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.asked = 0

        def is_unwanted(self, tag: str, used_ns: int) -> bool:
            if not self.asked:
                PromptStates(tmp_path).forget([tag])
            self.asked += 1
            return super().is_unwanted(tag, used_ns)

    disk = Late(tmp_path, "key", 1 << 20)
    tokens = np.arange(600, dtype=np.int32)
    tag = tag_of("x")
    assert not disk.save(tokens, np.zeros(100, np.uint8), [], tag=tag, used_ns=1)
    assert disk.asked == 1
    assert (disk.entries, PromptStates(tmp_path).files()) == ([], [])


def test_the_folder_stays_within_its_budget(tmp_path: Path) -> None:
    states = DiskStates(tmp_path, "key", 50_000)
    for i in range(12):
        tokens = np.arange(i * 1000, i * 1000 + 100, dtype=np.int32)
        assert states.save(tokens, np.zeros(9000, np.uint8), [])
        used = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert used <= 50_000 + 500
    assert 0 < len(states.entries) < 12
    assert not states.save(tokens, np.zeros(60_000, np.uint8), [])
    assert DiskStates(tmp_path, "another key", 50_000).entries == []


def test_a_conversation_that_lost_its_place_comes_back_from_memory(path: Path) -> None:
    """More chats than sequence ids: the first is swapped out and restored, not read again."""
    with opened(path, n_ctx=4096, n_parallel=1) as model:
        first = [(i * 19) % 1900 for i in range(260)]
        answer = ask(model, first, boundaries=[200], max_tokens=3, ignore_eos=True)
        sequences = model.scheduler.sequences

        def swap_all() -> None:
            while sequences.make_room():
                pass

        model.scheduler.call(swap_all).result()
        assert model.saved.used_bytes > 0
        again = ask(model, [*first, *answer.ids[:2], 9], max_tokens=2)
        assert again.evaluated == 1
        model.scheduler.call(swap_all).result()
        edited = ask(model, [*first[:200], *range(40, 70)], max_tokens=2)
        assert edited.evaluated <= 30


def test_saved_states_stay_within_their_budget_oldest_first() -> None:
    saved = SavedStates(10_000)
    for i in range(8):
        tokens = np.arange(i * 100, i * 100 + 50, dtype=np.int32)
        assert saved.add(tokens, np.zeros(2000, np.uint8))
        assert saved.used_bytes <= saved.budget_bytes
    assert saved.all()[-1].tokens[0] == 700
    assert not saved.add(tokens, np.zeros(20_000, np.uint8))
