"""Export, import and the mirror."""

from __future__ import annotations

import json
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import StorageError
from app.core.messages import (
    AttachmentPart,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from app.storage.export import Exporter, ExportFormat, file_name
from app.storage.export_html import html_of_chat
from app.storage.import_files import import_chats, read_chats
from app.storage.mirror import INDEX, MarkdownMirror
from app.storage.storage import Storage
from app.storage.values import AnswerDetails, Chat, StoredMessage
from tests.storage.stored import add_chat, with_storage


async def rich_chat(storage: Storage) -> Chat:
    """Branches, every kind of part, details, a context start and a lone surrogate."""
    chat = await storage.chats.create(model="m", system_prompt="Be kind.", sampling={"seed": 3})
    tree = storage.messages
    parts = (AttachmentPart("a.py", "text/x-python", "x = '```'\n"), TextPart("Why? \ud83d Größe"))
    question = await tree.add(chat.id, None, Message("user", parts))
    answer = (
        ThinkingPart("hm", 1.5),
        TextPart("| a | b |\n|--|--|\n| 1 | 2 |\n\n<script>alert(1)</script>"),
        ToolCallPart("c1", "read_file", '{"path": "a.py"}'),
    )
    details = AnswerDetails(model="m", completion_tokens=7, ttft_s=0.5)
    first = await tree.add(chat.id, question.id, Message("assistant", answer), details=details)
    result = Message("tool", (ToolResultPart("c1", "read_file", "x = 1", is_error=True),))
    tool = await tree.add(chat.id, first.id, result)
    error = {"code": "engine_died", "sentence": "The engine stopped.", "remedy": "", "facts": {}}
    await tree.add(
        chat.id,
        question.id,
        Message.of("assistant", "![img](http://evil/x.png) [go](javascript:alert(1))"),
        state="failed",
        details=AnswerDetails(error=error),
    )
    await tree.start_context(tool.id, "So far: words.")
    await storage.labels.set_tags(chat.id, ["work"])
    await storage.chats.update(chat.id, pinned=True)
    return await storage.chats.get(chat.id)


def same(a: list[StoredMessage], b: list[StoredMessage]) -> bool:
    """Equal but for ids and links, which are compared by position."""

    def plain(messages: list[StoredMessage]) -> list[Any]:
        place = {m.id: number for number, m in enumerate(messages)}
        return [
            (
                place.get(m.parent_id or 0),
                m.message,
                m.state,
                m.details,
                m.created_at,
                m.context_summary,
                [place[s] for s in m.sibling_ids],
            )
            for m in messages
        ]

    return plain(a) == plain(b)


def test_json_brings_back_everything(tmp_path: Path) -> None:
    target = tmp_path / "chats.json"
    kept: list[Any] = []

    async def out(storage: Storage) -> None:
        chat = await rich_chat(storage)
        await add_chat(storage, "another", "one")
        kept.extend([chat, await storage.messages.all(chat.id)])
        kept.append(await storage.messages.branch(chat.id))
        assert await Exporter(storage).to_file(target, "json") == 2

    async def back(storage: Storage) -> None:
        report = await import_chats(storage, target)
        assert (report.added, report.known, report.messages) == (2, 0, 6)
        again = await import_chats(storage, target)
        assert (again.added, again.known) == (0, 2)
        (chat,) = [c for c in await storage.chats.list() if c.uid == kept[0].uid]
        for name in ("title", "model", "system_prompt", "sampling", "pinned", "tags"):
            assert getattr(chat, name) == getattr(kept[0], name)
        assert (chat.created_at, chat.updated_at) == (kept[0].created_at, kept[0].updated_at)
        assert same(await storage.messages.all(chat.id), kept[1])
        assert [m.text for m in await storage.messages.branch(chat.id)] == [m.text for m in kept[2]]
        assert [h.message_id for h in await storage.search.find("größe") if h.message_id]

    with_storage(tmp_path / "one", out)
    data = json.loads(target.read_text("utf-8", errors="surrogatepass"))
    assert (data["format"], data["version"]) == ("garret-chats", 1)
    with_storage(tmp_path / "two", back)


def test_markdown_reads_like_the_chat(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat = await rich_chat(storage)
        await storage.messages.show((await storage.messages.all(chat.id))[1].id)
        text = await Exporter(storage).text_of(chat.id, "markdown")
        assert text.startswith("# Why? Größe\n")
        assert "## You" in text
        assert "## Answer (m)" in text
        assert "**a.py**\n\n````\nx = '```'\n````" in text
        assert "So far: words." in text
        assert await Exporter(storage).to_folder(tmp_path / "md") == 1

    with_storage(tmp_path, scenario)
    assert [path.name for path in (tmp_path / "md").iterdir()] == ["Why Größe.md"]


class Loads(HTMLParser):
    """Everything in a page that could load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "link", "object", "embed", "base", "form"):
            self.found.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "style") or name.startswith("on"):
                self.found.append(name)
            if name == "href" and not (value or "").startswith(("http://", "https://", "mailto:")):
                self.found.append(f"href={value}")


def loads_of(page: str) -> list[str]:
    parser = Loads()
    parser.feed(page)
    parser.close()
    return parser.found


def test_html_stands_alone_and_runs_nothing(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat = await rich_chat(storage)
        page = await Exporter(storage).text_of(chat.id, "html")
        assert loads_of(page) == []
        assert "default-src 'none'" in page
        assert "The engine stopped." in page
        await storage.messages.show((await storage.messages.all(chat.id))[1].id)
        page = await Exporter(storage).text_of(chat.id, "html")
        assert "<table>" in page
        assert "&lt;script&gt;" in page

    with_storage(tmp_path, scenario)


hostile = st.text(alphabet="<>\"'&[]()!`*_\n abc:/#javscript=x", max_size=60)


@given(text=hostile, name=hostile, title=hostile)
@settings(max_examples=150, deadline=None)
def test_no_text_gets_anything_loaded(text: str, name: str, title: str) -> None:
    message = Message("user", (AttachmentPart(name, "text/plain", text), TextPart(text)))
    page = html_of_chat(
        Chat(1, "u", title, system_prompt=text), [StoredMessage(1, 1, None, message)]
    )
    assert loads_of(page) == []


@pytest.mark.parametrize("form", ["json", "markdown", "html"])
def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path, form: ExportFormat) -> None:
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    target.write_text("old")

    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "hello")
        with pytest.raises(StorageError):
            await Exporter(storage).to_file(target, form, [1, 99])
        with pytest.raises(StorageError, match="could not be written"):
            await Exporter(storage).to_file(target / "below a file", form)

    with_storage(tmp_path, scenario)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_file_names_suit_every_system() -> None:
    taken: set[str] = set()
    assert file_name("a/b\\c:*?", taken) == "a b c.md"
    assert file_name("A B C", taken) == "A B C (2).md"
    assert file_name("nul", taken) == "nul chat.md"
    assert file_name("..", taken) == "Chat.md"
    assert file_name("\u202egpj.exe", taken) == "gpj.exe.md"
    assert len(file_name("ö" * 300, taken).encode()) <= 104


CHATGPT = [
    {
        "title": "Fjords",
        "conversation_id": "abc",
        "create_time": 1_700_000_000.5,
        "current_node": "n4",
        "mapping": {
            "root": {"id": "root", "message": None, "parent": None, "children": ["sys"]},
            "n4": {
                "parent": "n3",
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "text", "parts": ["A drowned valley."]},
                    "metadata": {"model_slug": "gpt-4"},
                },
            },
            "n2": {
                "parent": "n1",
                "message": {
                    "author": {"role": "assistant"},
                    "content": {"content_type": "text", "parts": ["A bay."]},
                },
            },
            "sys": {
                "parent": "root",
                "message": {
                    "author": {"role": "system"},
                    "content": {"content_type": "text", "parts": [""]},
                },
            },
            "n1": {
                "parent": "sys",
                "message": {
                    "author": {"role": "user"},
                    "create_time": 1_700_000_001,
                    "content": {
                        "content_type": "multimodal_text",
                        "parts": [{"asset_pointer": "file://x"}, "What is a fjord?"],
                    },
                },
            },
            "n3": {
                "parent": "n1",
                "message": {
                    "author": {"role": "tool"},
                    "content": {"content_type": "text", "parts": ["search results"]},
                },
            },
        },
    },
    "rubbish",
]

LMSTUDIO = {
    "name": "Bergs",
    "pinned": True,
    "createdAt": 1_700_000_000_000,
    "systemPrompt": "Be cold.",
    "messages": [
        {
            "versions": [
                {
                    "type": "singleStep",
                    "role": "user",
                    "content": [{"type": "text", "text": "What is an iceberg?"}],
                }
            ],
            "currentlySelected": 0,
        },
        {
            "versions": [
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "steps": [
                        {"type": "contentBlock", "content": [{"type": "text", "text": "Ice."}]}
                    ],
                },
                {
                    "type": "multiStep",
                    "role": "assistant",
                    "steps": [
                        {
                            "type": "contentBlock",
                            "style": {"type": "thinking"},
                            "content": [{"type": "text", "text": "hm"}],
                        },
                        {
                            "type": "contentBlock",
                            "content": [{"type": "text", "text": "Much ice."}],
                            "genInfo": {
                                "identifier": "qwen",
                                "stats": {"tokensPerSecond": 12.5, "predictedTokensCount": 3},
                            },
                        },
                    ],
                },
            ],
            "currentlySelected": 1,
        },
    ],
}


def jan_line(role: str, text: str, when: int) -> str:
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return json.dumps({"id": str(when), "role": role, "content": content, "created_at": when})


def test_chatgpt_conversations_come_with_their_branches(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations.json", json.dumps(CHATGPT))
        archive.writestr("user.json", "{}")

    async def scenario(storage: Storage) -> None:
        report = await import_chats(storage, tmp_path / "export.zip")
        assert (report.added, report.unreadable) == (1, 1)
        (chat,) = await storage.chats.list()
        assert (chat.title, chat.created_at) == ("Fjords", 1_700_000_000.5)
        branch = await storage.messages.branch(chat.id)
        assert [m.text for m in branch] == [
            "[something that is not text]\n\nWhat is a fjord?",
            "A drowned valley.",
        ]
        assert branch[1].details.model == "gpt-4"
        assert len(branch[1].sibling_ids) == 2

    with_storage(tmp_path, scenario)


def test_lm_studio_conversations_come_with_their_versions(tmp_path: Path) -> None:
    folder = tmp_path / "conversations" / "sub"
    folder.mkdir(parents=True)
    (folder / "1700000000000.conversation.json").write_text(json.dumps(LMSTUDIO))
    (folder / "other.json").write_text('{"settings": true}')

    async def scenario(storage: Storage) -> None:
        report = await import_chats(storage, folder.parent)
        assert (report.added, report.unreadable) == (1, 0)
        (chat,) = await storage.chats.list()
        assert (chat.title, chat.system_prompt, chat.pinned) == ("Bergs", "Be cold.", True)
        branch = await storage.messages.branch(chat.id)
        assert branch[1].parts == (ThinkingPart("hm"), TextPart("Much ice."))
        assert (branch[1].details.model, branch[1].details.write_tokens_per_s) == ("qwen", 12.5)
        assert len(branch[1].sibling_ids) == 2

    with_storage(tmp_path, scenario)


def test_jan_threads_survive_a_bad_line(tmp_path: Path) -> None:
    thread = tmp_path / "threads" / "jan_1"
    thread.mkdir(parents=True)
    head = {"id": "jan_1", "title": "Seals", "assistants": [{"instructions": "Be wet."}]}
    (thread / "thread.json").write_text(json.dumps(head))
    lines = [jan_line("assistant", "A seal.", 3), "{broken", jan_line("user", "What swims?", 2)]
    (thread / "messages.jsonl").write_text("\n".join(lines))

    async def scenario(storage: Storage) -> None:
        assert (await import_chats(storage, tmp_path / "threads")).added == 1
        (chat,) = await storage.chats.list()
        assert (chat.title, chat.system_prompt) == ("Seals", "Be wet.")
        branch = await storage.messages.branch(chat.id)
        assert [m.text for m in branch] == ["What swims?", "A seal."]

    with_storage(tmp_path, scenario)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": "garret-chats"}'],
)
def test_a_file_without_chats_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(StorageError):
        read_chats(path)
    path.rename(tmp_path / "x.zip")
    with pytest.raises(StorageError):
        read_chats(tmp_path / "x.zip")


def test_a_damaged_archive_is_named_and_nothing_worse(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps(list(range(3_000))))
    whole = path.read_bytes()
    for at in range(40, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with pytest.raises(StorageError):
            read_chats(path)
    with pytest.raises(StorageError):
        read_chats(tmp_path / "missing.json")


_KEYS = [
    *("id", "parent", "message", "role", "parts", "content", "text", "kind", "author", "mapping"),
    *("versions", "steps", "messages", "chats", "uid", "title", "details", "state", "create_time"),
    *("content_type", "created_at", "current_node"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(["garret", "chatgpt", "lmstudio", "jan"]),
    st.lists(json_values, max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), json_values, max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_no_foreign_json_breaks_the_import(
    tmp_path_factory: pytest.TempPathFactory, kind: str, items: list[Any], nodes: dict[str, Any]
) -> None:
    data: Any = {
        "garret": {"format": "garret-chats", "version": 1, "chats": [{"messages": items}, *items]},
        "chatgpt": [{"mapping": nodes}, *items],
        "lmstudio": {"messages": [{"versions": items}]},
        "jan": items,
    }[kind]
    folder = tmp_path_factory.mktemp("import")
    path = folder / ("m.jsonl" if kind == "jan" else "m.json")
    text = "\n".join(map(json.dumps, items)) if kind == "jan" else json.dumps(data)
    path.write_text(text)

    async def scenario(storage: Storage) -> None:
        try:
            await import_chats(storage, path)
        except StorageError:
            return
        for chat in await storage.chats.list():
            await storage.messages.branch(chat.id)
            await Exporter(storage).text_of(chat.id, "json")

    with_storage(folder, scenario)


def test_the_mirror_follows_and_touches_nothing_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"

    async def scenario(storage: Storage) -> None:
        mirror = MarkdownMirror(storage, folder)
        one = await add_chat(storage, "first", title="Same")
        two = await add_chat(storage, "second", title="Same")
        folder.mkdir()
        (folder / "mine.md").write_text("mine")
        assert await mirror.sync() == 2
        assert await mirror.sync() == 0
        names = {path.name for path in folder.iterdir()}
        assert names == {INDEX, "mine.md", "Same.md", "Same (2).md"}

        await storage.chats.update(one, title="Renamed")
        await storage.chats.trash(two)
        assert await mirror.sync() == 1
        assert {path.name for path in folder.iterdir()} == {INDEX, "mine.md", "Renamed.md"}

        (folder / "Renamed.md").write_text("edited by hand")
        leaf = (await storage.chats.get(one)).active_leaf
        await storage.messages.add(one, leaf, Message.of("assistant", "more"))
        await mirror.sync()
        assert (folder / "Renamed.md").read_text() == "edited by hand"
        assert "more" in (folder / "Renamed (2).md").read_text()

        (folder / INDEX).write_text(
            '{"x": {"name": "../../etc/passwd", "sha256": "", "updated_at": 0, "title": ""}}'
        )
        await storage.chats.trash(one)
        await mirror.sync()
        assert (folder / "Renamed (2).md").exists()  # without its index nothing counts as ours

    with_storage(tmp_path, scenario)
