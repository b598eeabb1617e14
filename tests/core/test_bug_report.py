"""What a stranger may read of a log: nothing the user wrote, owns or is called."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.bug_report import MAX_LINES, bug_report, scrubbed

AT = "2026-11-24 00:10:11,123"
SECRET = "my salary is 61000"

HOSTILE = [
    f"{AT} INFO app.session.chat: asked “{SECRET}”",
    f'{AT} INFO app.session.chat: asked "{SECRET}',
    f"{AT} ERROR app.ui.tasks: body {json.dumps({'messages': [{'content': SECRET}]})}",
    f"{AT} ERROR app.ui.tasks: body [{{'content': '{SECRET}'}}]",
    f"{AT} WARNING app.x: cannot open /home/ann/{SECRET}/notes.txt",
    f"{AT} WARNING app.x: cannot open /srv/x/{SECRET}",
    f"{AT} WARNING app.x: ({SECRET.replace(' ', '/')})",
    f"{AT} WARNING app.x: cannot open C:\\Users\\Ann\\{SECRET.replace(' ', '_')}\\a.docx",
    f"ValueError: {SECRET}",
    f"some.module.ReadError: {SECRET}",
    f"    raise ValueError('{SECRET}')",
    SECRET,
    f"user: {SECRET}",
    f"llama_model_loader: - kv 12: general.name str = {SECRET}",
    f'  File "/home/ann/{SECRET}/x.py", line 3, in run',
]


@pytest.mark.parametrize("line", HOSTILE)
def test_what_somebody_wrote_never_gets_out(line: str) -> None:
    shown = "\n".join(scrubbed([line], ["ann"]))
    for word in ("salary", "61000", "/home", "notes.txt", "docx"):
        assert word not in shown


@pytest.mark.parametrize(
    "secret",
    [
        "hf_abcdefghijklmnop",
        "sk-ant-abcdefghijklmnopqrst",
        "Bearer abcdefghijklmnopqrstuvwxyz0123456789",
        "garret-Yk3vX0p9s8d7f6g5h4j3k2l1m0n9b8v7",
        "ann@example.org",
        "https://ann:pw@hub.example.org/x?token=abc",
        "192.168.1.20",
        "2001:db8:0:1:1:1:1:1",
        "~/Documents/plan.md",
        "\\\\server\\share\\plan",
        "plan.xlsx",
        "Ann",
        "anns-macbook",
    ],
)
def test_keys_names_and_places_never_get_out(secret: str) -> None:
    line = f"{AT} ERROR app.library: failed for {secret} at once"
    (shown,) = scrubbed([line], ["ann", "anns-macbook"])
    assert secret not in shown
    assert "ann" not in shown.lower()
    assert shown.startswith(f"{AT} ERROR app.library: failed for ")


def test_what_helps_stays() -> None:
    lines = [
        f"{AT} INFO app.engine.service: model ready in 3.2 s, 24 layers",
        "Traceback (most recent call last):",
        '  File "/opt/garret/app/ui/tasks.py", line 56, in _guard',
        "    await work",
        '  File "/usr/lib/python3.11/asyncio/base_events.py", line 7, in run',
        '  File "/x/.venv/lib/site-packages/httpx/_client.py", line 9, in send',
        "KeyError: 'model'",
        "app.core.errors.EngineDied: The engine process ended.",
        "llama_context: n_ctx = 8192",
    ]
    assert scrubbed(lines) == [
        f"{AT} INFO app.engine.service: model ready in 3.2 s, 24 layers",
        "Traceback (most recent call last):",
        '  File "app/ui/tasks.py", line 56, in _guard',
        "[2 lines left out]",
        '  File "site-packages/httpx/_client.py", line 9, in send',
        "KeyError: [message removed]",
        "app.core.errors.EngineDied: The engine process ended.",
        "llama_context: n_ctx = 8192",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=120))
def test_a_line_nobody_knows_is_left_out(text: str) -> None:
    word = f"zzq{text}"
    assert "zzq" not in "\n".join(scrubbed(word.splitlines()))


def test_a_long_log_is_shown_by_its_end() -> None:
    lines = [f"{AT} INFO app.x: step {number}" for number in range(2 * MAX_LINES)]
    shown = scrubbed(lines)
    assert len(shown) == MAX_LINES
    assert shown[-1].endswith(f"step {2 * MAX_LINES - 1}")


def test_a_report_has_its_facts_and_every_log() -> None:
    text = bug_report(
        {"Garret": "0.1", "System": "Linux"}, {"garret.log": [HOSTILE[0]], "engine.log": []}
    )
    assert text.startswith("Garret: 0.1\nSystem: Linux\n")
    assert "--- garret.log" in text
    assert "--- engine.log\n(empty)" in text
    assert "salary" not in text
