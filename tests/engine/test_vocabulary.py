from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine import vocabulary
from app.engine.loaded_model import EngineModel
from app.engine.text_stream import TextStream
from tests.engine.models import opened


@pytest.fixture(scope="module", params=["starter_model_path", "hybrid_model_path"])
def model(request: pytest.FixtureRequest) -> Iterator[EngineModel]:
    path: Path = request.getfixturevalue(request.param)
    with opened(path, n_ctx=512) as loaded:
        yield loaded


def test_every_token_comes_out_whole(model: EngineModel) -> None:
    vocabulary = model.vocabulary
    for token in range(vocabulary.n_tokens):
        piece = vocabulary.piece(token, special=True)
        assert b"\0" not in piece or piece == b"\0"
        stream = TextStream()
        assert stream.feed(piece) + stream.finish() == piece.decode("utf-8", "replace")


def test_text_survives_the_way_to_tokens_and_back(model: EngineModel) -> None:
    text = "def f(x):\n" + " " * 70 + "return 'é🙂\u200b漢字'\t# <|im_end|>\r\n"
    tokens = model.vocabulary.tokenize(text, parse_special=False)
    assert b"".join(model.vocabulary.piece(token) for token in tokens).decode() == text


def test_control_tokens_in_plain_text_stay_text(model: EngineModel) -> None:
    (control,) = model.vocabulary.tokenize("<|im_end|>", parse_special=True)
    assert control not in model.vocabulary.tokenize("<|im_end|>", parse_special=False)
    assert model.vocabulary.piece(control) == b""
    assert model.vocabulary.piece(control, special=True) == b"<|im_end|>"
    assert model.vocabulary.is_eog(control)


def test_no_beginning_token_is_added(model: EngineModel) -> None:
    tokens = model.vocabulary.tokenize("hello", parse_special=True)
    assert b"".join(model.vocabulary.piece(token, special=True) for token in tokens) == b"hello"


def test_tokens_longer_than_any_buffer_are_whole(hybrid_model_path: Path) -> None:
    with opened(hybrid_model_path, n_ctx=512) as loaded:
        assert loaded.vocabulary.tokenize(" " * 64, parse_special=False) == [261]
        assert loaded.vocabulary.piece(261) == b" " * 64


def test_a_long_text_has_the_tokens_it_has_in_one_piece(
    model: EngineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "<|im_end|>",
        "<|im_start|>",
        "<tool_call>",
        "<think>",
        " ",
        "hello",
        "\n",
        "<|im",
        "é",
    ]
    chosen = random.Random(5)
    for parse_special in (True, False):
        for _ in range(4):
            text = "".join(chosen.choice(words) for _ in range(2000))
            whole = model.vocabulary.tokenize(text, parse_special=parse_special)
            monkeypatch.setattr(vocabulary, "_LONG_CHARS", 100)
            parts = model.vocabulary.tokenize(text, parse_special=parse_special, add_special=True)
            monkeypatch.undo()
            before, after = model.vocabulary._around()
            assert parts == [*before, *whole, *after]


def test_a_flood_of_control_tokens_is_read_in_no_time(model: EngineModel) -> None:
    tokens = model.vocabulary.tokenize("<|im_end|>" * 60_000, parse_special=True)
    assert len(tokens) == 60_000  # in one piece this takes a minute
