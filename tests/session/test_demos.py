from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.session.demos import DemoCard, clear_workspaces, fresh_workspace, load_demos

CARDS = load_demos()
by_id = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.card_id)


def verify(card: DemoCard, workspace: Path) -> int:
    command = [sys.executable, *card.verify[1:]]
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=workspace, env=env, capture_output=True).returncode


def test_there_are_enough_cards_of_both_kinds() -> None:
    assert len(CARDS) >= 8
    assert {card.kind for card in CARDS} == {"chat", "agent"}
    assert len({card.card_id for card in CARDS}) == len(CARDS)


@by_id
def test_every_card_says_what_it_does_and_needs(card: DemoCard) -> None:
    assert card.title
    assert card.summary.endswith(".")
    assert card.needs_why.endswith(".")
    assert card.what_happened.endswith(".")
    assert card.folder.name == card.card_id
    assert card.mode == "" if card.kind == "chat" else card.mode in ("look", "ask", "auto")


def test_somebody_with_only_the_starter_model_has_a_demo() -> None:
    assert any(card.obstacle(135_000_000) == "" for card in CARDS)


def test_a_model_that_is_too_small_is_told_so_before_it_starts() -> None:
    agent = next(card for card in CARDS if card.kind == "agent")
    assert "1.5 billion" in agent.obstacle(135_000_000)
    assert agent.obstacle(30_000_000_000) == ""
    assert agent.obstacle(0) == ""


def test_the_expected_time_follows_from_both_speeds() -> None:
    card = CARDS[0]
    assert card.expected_s(card.read_tokens, card.written_tokens) == 2.0
    assert card.expected_s(0, 10) is None


@by_id
def test_workspaces_are_fresh_and_writable(card: DemoCard, tmp_path: Path) -> None:
    first = fresh_workspace(card, tmp_path)
    (first / "spoiled.txt").write_text("x")
    second = fresh_workspace(card, tmp_path)
    assert first != second
    assert not (second / "spoiled.txt").exists()
    (second / "new.txt").write_text("x")


@pytest.mark.parametrize(
    "card", [card for card in CARDS if card.starts_broken], ids=lambda card: card.card_id
)
def test_what_is_to_be_mended_is_broken_at_first(card: DemoCard, tmp_path: Path) -> None:
    assert verify(card, fresh_workspace(card, tmp_path)) != 0


def test_the_bug_can_be_mended(tmp_path: Path) -> None:
    card = next(card for card in CARDS if card.card_id == "find-the-bug")
    workspace = fresh_workspace(card, tmp_path)
    file = workspace / "thermometer.py"
    file.write_text(file.read_text().replace("- 32", "+ 32"))
    assert verify(card, workspace) == 0


def test_the_rename_begins_with_passing_tests_and_can_be_done(tmp_path: Path) -> None:
    card = next(card for card in CARDS if card.card_id == "rename-it-everywhere")
    workspace = fresh_workspace(card, tmp_path)
    tests = subprocess.run(
        [sys.executable, "-m", "unittest", "-q"], cwd=workspace, capture_output=True
    )
    assert tests.returncode == 0
    for file in workspace.glob("*.*"):
        file.write_text(file.read_text().replace("fetch_all", "load_guests"))
    assert verify(card, workspace) == 0


def test_the_hint_about_the_table_is_right() -> None:
    card = next(card for card in CARDS if card.card_id == "answer-from-a-table")
    totals: dict[str, float] = {}
    for line in (card.folder / "workspace" / "sales.csv").read_text().splitlines()[1:]:
        _date, product, count, price = line.split(",")
        totals[product] = totals.get(product, 0.0) + int(count) * float(price)
    best = max(totals, key=lambda product: totals[product])
    assert f"{best}, {totals[best]:.2f}" in card.say


def test_the_reset_removes_all_but_what_is_in_use(tmp_path: Path) -> None:
    old, used = (fresh_workspace(CARDS[0], tmp_path) for _ in range(2))
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    clear_workspaces(tmp_path, keep=[used])
    assert not old.exists()
    assert used.exists()
    assert outside.exists()
    clear_workspaces(tmp_path / "never-there")
