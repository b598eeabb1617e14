"""Hostile text neither loads anything nor holds up the window (security.md §8 and §11.4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtNetwork import QHostAddress, QTcpServer
from pytestqt.qtbot import QtBot

from app.core.messages import TextPart
from app.ui.transcript.finder import editor_of
from app.ui.transcript.markdown import inline_parser, is_allowed_link
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.transcript import Transcript
from app.ui.transcript.turn import Turn
from app.ui.transcript.writer import visible
from scripts.hostile_markdown import texts

GUI_LIMIT_S = 2.0
"""Generous, for a slow machine: it catches what grows faster than the text. The 100 ms of the
contract are measured by scripts/bench_hostile_markdown.py."""

HOSTILE = {
    "script link": "[a](javascript:x) [b](JaVaScRiPt:alert(1)) [c](&#106;avascript:alert(1))",
    "vbscript": "[a](vbscript:msgbox(1))",
    "file link": "[a](file:///etc/passwd)",
    "file image": "![a](file:///etc/passwd)",
    "unc image": "![a](//evil/share/x.png)",
    "unc link": "[a](\\\\evil\\share\\x.png)",
    "relative image": "![a](/etc/passwd) ![b](../../etc/passwd)",
    "http image": "![a](http://127.0.0.1:PORT/?d=SECRET)",
    "data image": "![a](data:image/png;base64,iVBORw0KGgo=)",
    "data html": "[a](data:text/html,<script>alert(1)</script>)",
    "raw html": "<img src=http://127.0.0.1:PORT/x><script>alert(1)</script><b>bold</b>",
    "html block": "<div style='background:url(http://127.0.0.1:PORT/y)'>\n\n<p>x</p>\n</div>",
    "ms-msdt": "[a](ms-msdt:/id) <ms-msdt:x>",
    "ssh": "[a](ssh://evil) <ssh://evil>",
    "vscode": "[a](vscode://file/etc/passwd)",
    "image in link": "[![a](http://127.0.0.1:PORT/z)](https://example.org)",
    "reference image": "![a][r]\n\n[r]: http://127.0.0.1:PORT/ref",
    "image in table": "| ![a](http://127.0.0.1:PORT/t) |\n|---|\n| ![b](/etc/passwd) |",
    "formula": "$\\includegraphics{/etc/passwd}$ $$\\input{/etc/passwd}$$",
}
HEAVY = {name: text[:200_000] for name, text in texts().items()}


@pytest.fixture
def canary() -> Iterator[QTcpServer]:
    """A listening port that nobody may knock at."""
    server = QTcpServer()
    assert server.listen(QHostAddress.SpecialAddress.LocalHost)
    yield server
    server.close()


def show(transcript: Transcript, text: str) -> float:
    """Seconds this thread works until the text is on the screen; a busy machine adds none."""
    start = time.thread_time()
    transcript.set_messages([MessageItem(1, "assistant", (TextPart(text),))])
    transcript.viewport().repaint()
    return time.thread_time() - start


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_is_loaded(
    name: str, transcript: Transcript, canary: QTcpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = QTextDocument.loadResource

    def spy(self: QTextDocument, kind: int, url: QUrl) -> object:
        opened.append(url.toString())
        return original(self, kind, url)

    monkeypatch.setattr(QTextDocument, "loadResource", spy)
    text = HOSTILE[name].replace("PORT", str(canary.serverPort()))
    show(transcript, text)
    assert not canary.waitForNewConnection(30)[0]
    assert opened == []
    for _owner, view in transcript.views():
        editor = editor_of(view)
        if editor is None:
            continue
        assert "root:" not in editor.toPlainText()
        for form in _formats(editor.document()):
            assert not form.isImageFormat() or form.toImageFormat().name().startswith("garret-")
            address = form.toCharFormat().anchorHref()
            assert not address or is_allowed_link(address)


def _formats(document: QTextDocument) -> list:  # type: ignore[type-arg]
    return document.allFormats()


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_text_is_shown_soon_and_in_small_pieces(name: str, transcript: Transcript) -> None:
    assert show(transcript, HEAVY[name]) < GUI_LIMIT_S
    assert transcript.live_count <= 60
    for _owner, view in transcript.views():
        editor = editor_of(view)
        assert editor is None or editor.document().blockCount() <= 320
        assert editor is None or editor.document().characterCount() <= 30_000


def test_a_turn_without_time_builds_one_piece_and_the_next_go_on(
    transcript: Transcript, qtbot: QtBot
) -> None:
    transcript._turn = Turn(budget_s=0.0)
    text = "".join(f"Paragraph {n}.\n\n" for n in range(3_000))
    transcript.set_messages([MessageItem(1, "assistant", (TextPart(text),))])
    assert transcript.live_count <= 1
    qtbot.waitUntil(lambda: transcript.live_count > 3)
    last = [e for _o, v in transcript.views() if (e := editor_of(v)) is not None][-1]
    assert last.toPlainText().endswith("Paragraph 2999.")


def test_stacked_marks_are_shown_in_part_and_copied_whole(transcript: Transcript) -> None:
    text = "a" + "\u0301" * 500 + " b"
    show(transcript, text)
    (editor,) = [e for _o, v in transcript.views() if (e := editor_of(v)) is not None]
    assert editor.toPlainText() == "a" + "\u0301" * 6 + " b"
    assert transcript.messages()[0].text == text
    script = "क्ष्म्य שָׁלוֹם e\u0301\u0323"
    assert visible(script) == script


@pytest.mark.parametrize("text", ["-\n-\n-\n", "1.\n2.\n", "---\n\ntext", "> \n> x", "***\n- a\n"])
def test_what_has_no_words_is_drawn_too(text: str, transcript: Transcript) -> None:
    show(transcript, text)
    (editor,) = [e for _o, v in transcript.views() if (e := editor_of(v)) is not None]
    assert (
        editor.document().blockCount()
        == {"-": 3, "1": 2, "---": 2, ">": 1, "***": 2}[text.split()[0].rstrip(".")]
    )


@pytest.mark.parametrize(
    "address",
    [
        "file:///x",
        "//evil/x",
        "javascript:x",
        "data:x",
        "ssh://x",
        "http://a b",
        "",
        "x",
        "\thttp://x",
    ],
)
def test_only_web_and_mail_addresses_are_links(address: str) -> None:
    assert not is_allowed_link(address)


def test_web_and_mail_addresses_are_links() -> None:
    assert is_allowed_link("https://example.org/a?b=c#d")
    assert is_allowed_link("HTTP://example.org")
    assert is_allowed_link("mailto:a@example.org")


def test_raw_html_stays_text() -> None:
    html = inline_parser().render("<b>x</b> & <script>y</script>")
    assert "<b>" not in html
    assert "<script>" not in html


def test_controls_and_bidi_overrides_are_made_visible(transcript: Transcript) -> None:
    show(transcript, "a\x1bb\u202ec")
    words = "".join(
        editor.toPlainText()
        for _owner, view in transcript.views()
        if (editor := editor_of(view)) is not None
    )
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert "⟨U+202E⟩" in words


def test_resources_come_from_nowhere_but_our_own_formulas(
    transcript: Transcript, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    show(transcript, "text")
    for _owner, view in transcript.views():
        editor = editor_of(view)
        if editor is None:
            continue
        for address in (secret.as_uri(), str(secret), "http://127.0.0.1/x", "garret-formula:no"):
            found = editor.loadResource(2, QUrl(address))
            assert found.isNull()
