"""Going round in circles is noticed; work is not taken for it."""

from __future__ import annotations

from app.agent.guard import LoopGuard, repeats_itself


def judge(guard: LoopGuard, name: str, result: str = "r", **more: bool) -> str:
    flags = {"reads": False, "changed": False, **more}
    return guard.judge(name, "{}", result, **flags)[0]


def test_the_same_call_gets_a_note_at_three_and_an_end_at_five() -> None:
    guard = LoopGuard()
    assert [judge(guard, "a") for _ in range(5)] == ["go_on", "go_on", "note", "note", "stop"]


def test_another_result_is_another_call() -> None:
    guard = LoopGuard()
    assert {judge(guard, "a", str(n)) for n in range(20)} == {"go_on"}


def test_reading_before_the_first_change_has_more_patience() -> None:
    guard = LoopGuard()
    verdicts = [judge(guard, "a", reads=True) for _ in range(10)]
    assert "stop" not in verdicts[:9]
    assert verdicts[9] == "stop"


def test_testing_after_each_edit_is_work() -> None:
    guard = LoopGuard()
    for number in range(12):
        assert judge(guard, f"edit{number}", changed=True) == "go_on"
        assert judge(guard, "pytest", "1 failed") == "go_on"


def test_swinging_between_two_calls_is_caught_even_when_they_change_files() -> None:
    guard = LoopGuard()
    verdicts = [judge(guard, name, changed=True) for name in "abababab"]
    assert verdicts.index("stop") == 5


def test_forgiving_starts_anew() -> None:
    guard = LoopGuard()
    for _ in range(5):
        judge(guard, "a")
    guard.forgive()
    assert judge(guard, "a") == "go_on"


def test_repeated_prose_is_noticed_and_code_is_not() -> None:
    assert repeats_itself("I will now look at the file and then decide what to do. " * 30)
    assert not repeats_itself("```\n" + "x = 1  # the same line of code again and again\n" * 60)
    assert not repeats_itself(
        "".join(f"Sentence number {n} says something new. " for n in range(99))
    )
    assert not repeats_itself("Short.")


def test_reading_the_same_and_then_editing_is_no_swing() -> None:
    guard = LoopGuard()
    for _ in range(5):
        judge(guard, "read", reads=True)
    assert judge(guard, "edit", changed=True) == "go_on"
