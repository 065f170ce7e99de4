"""A process that gets no answer from WeChat sits out, for ever longer, until the first one."""

from __future__ import annotations

import pytest

from tests.environments import FakeTime
from wechat_open.client.reachability import FIRST, IN_A_ROW, LAST, Reachability


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def reachability(time: FakeTime) -> Reachability:
    return Reachability(time.timing.monotonic, lambda: 1.0)


def lose(reachability: Reachability) -> None:
    for _ in range(IN_A_ROW):
        reachability.unanswered()


def test_few_calls_without_an_answer__change_nothing(reachability: Reachability) -> None:
    for _ in range(9):
        for _ in range(IN_A_ROW - 1):
            assert not reachability.unanswered()
        reachability.answered()

    assert not reachability.doubtful
    assert not reachability.sits_out
    assert not reachability.left


def test_several_in_a_row__make_the_process_sit_out(reachability: Reachability, time: FakeTime) -> None:
    lose(reachability)
    assert reachability.sits_out
    assert reachability.left.total_seconds() == FIRST

    time.now += FIRST
    assert reachability.doubtful
    assert not reachability.sits_out


def test_calls_that_were_on_their_way__prolong_nothing(reachability: Reachability) -> None:
    lose(reachability)

    assert not any(reachability.unanswered() for _ in range(9))
    assert reachability.left.total_seconds() == FIRST


def test_trial_that_fails__makes_it_sit_out_for_longer_up_to_a_limit(
    reachability: Reachability, time: FakeTime
) -> None:
    lose(reachability)
    lengths = []
    for _ in range(6):
        lengths.append(reachability.left.total_seconds())
        time.now += lengths[-1]
        assert reachability.unanswered()

    assert lengths == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, LAST, LAST]


def test_first_answer__ends_it(reachability: Reachability, time: FakeTime) -> None:
    lose(reachability)
    time.now += FIRST
    reachability.unanswered()
    reachability.answered()
    assert not reachability.doubtful

    lose(reachability)
    assert reachability.left.total_seconds() == FIRST
