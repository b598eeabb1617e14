"""Whole files in an answer, as small models really write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.whole_file_answer import FileAnswer, read_answer
from app.agent.whole_file_merge import keep_what_is_missing

CODE = "def f():\n    return 1\n"


def read(text: str, **more: list[str]) -> FileAnswer:
    places = {"editable": ["app/f.py"], "locked": ["test_f.py"], "may_create": [], **more}
    return read_answer(text, **places)


@pytest.mark.parametrize(
    "text",
    [
        f"app/f.py\n```\n{CODE}```",
        f"app/f.py\n```python\n{CODE}```\n",
        f"**app/f.py**\n\n```python\n{CODE}```\nThat is all.",
        f"### `app/f.py`\n```py\n{CODE}```",
        f"File: app/f.py\n```python\n{CODE}```",
        f"Here is the new content of `app/f.py`:\n```python\n{CODE}```",
        f"```python app/f.py\n{CODE}```",
        f"```python:app/f.py\n{CODE}```",
        f'```python title="app/f.py"\n{CODE}```',
        f"```python\n# app/f.py\n{CODE}```",
        f"```python\n# File: f.py\n{CODE}```",
        f"f.py\n```python\n{CODE}```",
        f"./app/f.py\n```python\n{CODE}```",
        f"name_of_the_file.py\n```\n{CODE}```",
        f"```python\n{CODE}```",
        f"Sure! Here you go:\n\n```python\n{CODE}```\n\nUse it like this:\n```\nf()\n```",
        f"app/f.py\n~~~\n{CODE}~~~",
        f"app/f.py\n````\n{CODE}````",
        CODE,
    ],
)
def test_the_file_is_found_however_it_is_labelled(text: str) -> None:
    assert read(text).files == (("app/f.py", CODE),)


def test_tests_and_strange_files_are_never_written() -> None:
    answer = read(f"test_f.py\n```python\n{CODE}```\nother.py\n```python\n{CODE}```")
    assert answer.files == ()
    assert answer.refused == ("test_f.py", "other.py")


def test_a_new_file_must_be_named_in_the_task_or_the_folder_be_empty() -> None:
    text = f"new.py\n```python\n{CODE}```"
    assert read(text, may_create=["new.py"]).files == (("new.py", CODE),)
    assert read(text, editable=[], locked=[]).files == (("new.py", CODE),)


def test_a_cut_off_file_is_not_written() -> None:
    answer = read("app/f.py\n```python\ndef f():\n    retur")
    assert answer.cut
    assert answer.files == ()


def test_code_without_a_path_is_unclear_where_there_are_two_files() -> None:
    answer = read(f"```python\n{CODE}```", editable=["a.py", "b.py"])
    assert answer.files == ()
    assert "not clear" in answer.problem


def test_code_without_a_path_is_recognised_by_what_it_defines() -> None:
    shown = {"a.py": "def g(): pass\n", "b.py": "def f(): pass\n"}
    text = f"name_of_the_file.py\n```\n{CODE}```"
    found = read_answer(text, editable=["a.py", "b.py"], locked=[], may_create=[], shown=shown)
    assert found.files == (("b.py", CODE),)


def test_prose_is_no_file() -> None:
    assert read("Nothing must change.") == FileAnswer()


@given(st.text(max_size=300))
def test_any_answer_is_read_and_writes_only_what_it_may(text: str) -> None:
    for path, _ in read(text).files:
        assert path == "app/f.py"


def test_forgotten_imports_and_helpers_come_back() -> None:
    old = (
        '"""Doc."""\nfrom typing import List\nimport math\n\n\ndef helper(x: int) -> int:\n'
        "    return math.floor(x)\n\n\ndef f(x: List[int]) -> int:\n    ...\n"
    )
    new = "def f(x: List[int]) -> int:\n    return helper(x[0])\n"
    text, names = keep_what_is_missing(old, new)
    assert names == ("List", "helper", "math")
    scope: dict[str, object] = {}
    exec(text, scope)  # the test's own code
    assert scope["f"]([3.5]) == 3  # type: ignore[operator]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import os\n", "x = 1\n"),
        ("import os\nprint(os)\n", "import os\nprint(os)\n"),
        ("def a(): pass\n", "def b(a): return a\n"),
        ("broken (", "print(x)\n"),
        ("x = 1\n", "broken ("),
    ],
)
def test_what_is_not_needed_does_not_come_back(old: str, new: str) -> None:
    assert keep_what_is_missing(old, new) == (new, ())


def test_future_imports_stay_first() -> None:
    old = "from __future__ import annotations\nimport re\n\n\ndef f(): return re.compile('a')\n"
    new = '"""Doc."""\nfrom __future__ import annotations\n\n\ndef f():\n    return re\n'
    text, names = keep_what_is_missing(old, new)
    assert names == ("re",)
    compile(text, "f.py", "exec")
