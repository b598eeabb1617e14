"""Chats: order, trash, folders, tags, copies; and the small stores beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import StorageError
from app.core.messages import Message
from app.storage.prompts import Prompt
from app.storage.storage import Storage
from app.storage.titles import MAX_TITLE, UNTITLED, title_from
from tests.storage.stored import Clock, add_chat, with_storage


def test_pinned_chats_come_first_then_the_latest_used(tmp_path: Path) -> None:
    clock = Clock()

    async def scenario(storage: Storage) -> None:
        ids = []
        for name in ("a", "b", "c"):
            clock.now += 1
            ids.append(await add_chat(storage, "x", title=name))
        clock.now += 1
        await storage.chats.update(ids[0], pinned=True)
        await storage.chats.update(ids[1], draft="half a thought")  # no reason to move up
        assert [chat.title for chat in await storage.chats.list()] == ["a", "c", "b"]
        assert [chat.title for chat in await storage.chats.list(limit=1, offset=1)] == ["c"]
        await storage.chats.update(ids[2], archived=True)
        assert [chat.title for chat in await storage.chats.list("archived")] == ["c"]
        assert [chat.title for chat in await storage.chats.list()] == ["a", "b"]

    with_storage(tmp_path, scenario, clock)


def test_settings_of_a_chat_survive_a_restart(tmp_path: Path) -> None:
    async def before(storage: Storage) -> None:
        chat = await storage.chats.create(model="m", system_prompt="Be kind.")
        await storage.chats.update(chat.id, sampling={"temperature": 0.2, "seed": 7}, draft="hm")

    async def after(storage: Storage) -> None:
        (chat,) = await storage.chats.list()
        assert (chat.model, chat.system_prompt, chat.draft) == ("m", "Be kind.", "hm")
        assert chat.sampling == {"temperature": 0.2, "seed": 7}
        with pytest.raises(TypeError):
            await storage.chats.update(chat.id, id=5)

    with_storage(tmp_path, before)
    with_storage(tmp_path, after)


def test_trash_can_be_undone_and_is_emptied_after_thirty_days(tmp_path: Path) -> None:
    clock = Clock()

    async def scenario(storage: Storage) -> None:
        kept, lost = await add_chat(storage, "keep me"), await add_chat(storage, "forget me")
        await storage.chats.trash(kept)
        await storage.chats.restore(kept)
        await storage.chats.trash(lost)
        assert [chat.id for chat in await storage.chats.list("trash")] == [lost]
        gone: list[str] = []
        storage.chats.on_purged = gone.extend
        uids = await storage.chats.uids()
        uid = (await storage.chats.get(lost)).uid
        clock.now += 29 * 86_400
        assert await storage.chats.purge() == 0
        clock.now += 2 * 86_400
        assert await storage.chats.purge() == 1
        assert gone == [uid]
        assert uids - await storage.chats.uids() == {uid}
        assert [chat.id for chat in await storage.chats.list()] == [kept]
        with pytest.raises(StorageError):
            await storage.chats.get(lost)

    with_storage(tmp_path, scenario, clock)


def test_a_copy_has_all_branches_or_one_path(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat_id = await add_chat(storage, "q1", "a1", "q2", "a2")
        branch = await storage.messages.branch(chat_id)
        await storage.messages.add(chat_id, branch[0].id, Message.of("assistant", "a1 again"))

        whole = await storage.chats.duplicate(chat_id)
        assert len(await storage.messages.all(whole.id)) == 5
        assert [m.text for m in await storage.messages.branch(whole.id)] == ["q1", "a1 again"]
        assert whole.title == "q1 (copy)"

        part = await storage.chats.duplicate(chat_id, upto_message=branch[2].id)
        assert [m.text for m in await storage.messages.branch(part.id)] == ["q1", "a1", "q2"]
        assert len(await storage.messages.all(chat_id)) == 5
        assert len([h for h in await storage.search.find("a1 again") if h.message_id]) == 2

    with_storage(tmp_path, scenario)


def test_a_hidden_message_takes_its_followers_along_and_comes_back(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat_id = await add_chat(storage, "q1", "a1", "q2", "a2")
        branch = await storage.messages.branch(chat_id)
        left = await storage.messages.hide(branch[2].id)
        assert [m.text for m in left] == ["q1", "a1"]
        again = await storage.messages.unhide(branch[2].id)
        assert [m.text for m in again] == ["q1", "a1", "q2", "a2"]
        other = await storage.messages.add(chat_id, branch[0].id, Message.of("assistant", "b1"))
        assert [m.text for m in await storage.messages.hide(other.id)] == ["q1", "a1", "q2", "a2"]
        assert (await storage.messages.branch(chat_id))[1].sibling_ids == (branch[1].id,)
        assert await storage.messages.hide(branch[0].id) == []

    with_storage(tmp_path, scenario)


def test_folders_and_tags(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        one, two = await add_chat(storage, "x"), await add_chat(storage, "y")
        folder = await storage.labels.create_folder("  Work  stuff ")
        assert (await storage.labels.create_folder("Work stuff")).id == folder.id
        await storage.chats.update(one, folder_id=folder.id)
        await storage.labels.set_tags(one, ["python", "later", "python"])
        await storage.labels.set_tags(two, ["python"])
        assert [c.id for c in await storage.chats.list(folder_id=folder.id)] == [one]
        assert [c.id for c in await storage.chats.list(tag="later")] == [one]
        assert (await storage.chats.get(one)).tags == ("later", "python")
        assert await storage.labels.tags() == {"later": 1, "python": 2}
        assert [(f.name, f.chats) for f in await storage.labels.folders()] == [("Work stuff", 1)]
        other = await storage.labels.create_folder("Home")
        with pytest.raises(StorageError, match="already"):
            await storage.labels.rename_folder(other.id, "Work stuff")
        await storage.labels.delete_folder(folder.id)
        assert (await storage.chats.get(one)).folder_id is None
        with pytest.raises(StorageError):
            await storage.labels.create_folder("   ")

    with_storage(tmp_path, scenario)


def test_queued_messages_wait_in_order_over_a_restart(tmp_path: Path) -> None:
    async def before(storage: Storage) -> None:
        chat_id = await add_chat(storage, "x")
        for text in ("first", "second", "third"):
            queued = await storage.queue.add(chat_id, Message.of("user", text))
            if text == "second":
                await storage.queue.remove(queued.id)

    async def after(storage: Storage) -> None:
        (chat,) = await storage.chats.list()
        assert [q.message.text for q in await storage.queue.list(chat.id)] == ["first", "third"]

    with_storage(tmp_path, before)
    with_storage(tmp_path, after)


def test_prompts_are_saved_by_name_and_filled(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await storage.prompts.save("/review", "Review {{code}} as {{who|a colleague}}.")
        await storage.prompts.save("review", "Review {{ code }} as {{who|a friend}}.", "Reads code")
        (prompt,) = await storage.prompts.list()
        assert prompt.variables == {"code": "", "who": "a friend"}
        assert prompt.fill({"code": "{{who}}"}) == "Review {{who}} as a friend."
        with pytest.raises(StorageError):
            await storage.prompts.save("two words", "x")
        removed = await storage.prompts.delete(prompt.id)
        assert removed is not None
        assert removed.text == prompt.text
        assert await storage.prompts.list() == []

    with_storage(tmp_path, scenario)


def test_braces_that_are_no_variables_stay(tmp_path: Path) -> None:
    prompt = Prompt(1, "x", "", "f'{{{a}}}' {{}} {{1}} {{a b}} {{ok}}")
    assert prompt.variables == {"a": "", "ok": ""}
    assert prompt.fill({"ok": "yes", "a": "A"}) == "f'{A}' {{}} {{1}} {{a b}} yes"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("", UNTITLED),
        ("```python\nprint(1)\n```", "print(1)"),
        ("\n\n## **Why** `x`?\nmore", "Why x?"),
        ("- one\n- two", "one"),
        ("\u202egnp.exe\u2066", "gnp.exe"),
        ("🦊🦊🦊", UNTITLED),
        ("a\x00b\tc", "a b c"),
        ("word " * 40, "word " * 10 + "word…"),
        ("x" * 100, "x" * (MAX_TITLE - 1) + "…"),
    ],
)
def test_a_title_is_the_first_words_in_plain_text(text: str, title: str) -> None:
    assert title_from(text) == title
    assert len(title_from(text)) <= MAX_TITLE
