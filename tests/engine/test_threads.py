from __future__ import annotations

from app.engine.threads import ThreadGovernor


def _run(governor: ThreadGovernor, cost: dict[int, float], steps: int) -> list[int]:
    used = []
    for _ in range(steps):
        used.append(governor.n_threads)
        governor.note(cost[governor.n_threads])
    return used


def test_a_quiet_machine_keeps_all_threads() -> None:
    used = _run(ThreadGovernor(2), {1: 0.016, 2: 0.010}, 500)
    assert used.count(1) < 15
    assert used[-100:] == [2] * 100


def test_a_busy_machine_gets_fewer_and_comes_back_when_it_is_quiet() -> None:
    governor = ThreadGovernor(2)
    busy = _run(governor, {1: 0.016, 2: 0.200}, 300)
    assert busy[-1] == 1
    assert busy.count(2) < 40
    quiet = _run(governor, {1: 0.016, 2: 0.010}, 1200)
    assert quiet[-1] == 2


def test_one_thread_stays_one() -> None:
    assert set(_run(ThreadGovernor(1), {1: 0.01}, 50)) == {1}


def test_a_pinned_number_is_never_changed() -> None:
    assert set(_run(ThreadGovernor(2, 2), {2: 0.5, 1: 0.01}, 50)) == {2}
