"""The report of the story: which step failed, and why."""

from __future__ import annotations

import io
import time
from itertools import count
from typing import Any
from unittest.mock import patch

from django.test import SimpleTestCase

from example_project.story import STEPS, Failed, Step, Story, play


def play_steps(*steps: Step) -> tuple[bool, str]:
    out = io.StringIO()
    return play(Story("http://127.0.0.1:9", "http://127.0.0.1:9", ""), out, steps), out.getvalue()


def fails(story: Story) -> str:
    raise Failed("the ticket is missing")


def breaks(story: Story) -> str:
    raise ZeroDivisionError("boom")


def waits(story: Story) -> str:
    return story.until(lambda: "", "Something that never comes")


class PlayTests(SimpleTestCase):
    def test_all_steps_succeed(self) -> None:
        well, text = play_steps(
            Step("First", 5, lambda story: "seen this"), Step("Second", 5, lambda story: "and that")
        )

        assert well
        for line in ("✓  1 First", "seen this", "✓  2 Second", "and that", "All 2 steps succeeded"):
            assert line in text

    def test_the_first_that_fails_ends_it_with_its_name_and_reason(self) -> None:
        well, text = play_steps(Step("First", 5, fails), Step("Second", 5, lambda story: "never"))

        assert not well
        assert "Failed at step 1 of 2: First\nthe ticket is missing" in text
        assert "Second" not in text

    def test_whatever_else_is_raised_is_a_reason_too(self) -> None:
        assert "ZeroDivisionError: boom" in play_steps(Step("First", 5, breaks))[1]

    def test_a_dead_site_is_a_reason_too(self) -> None:
        well, text = play_steps(STEPS[2])

        assert not well
        assert "Connection" in text

    def test_a_step_has_its_time_and_no_more(self) -> None:
        started = time.monotonic()

        text = play_steps(Step("First", 0.3, waits))[1]

        assert time.monotonic() - started < 3
        assert "Something that never comes: not seen in time." in text

    def test_a_long_step_says_how_far_it_is_where_there_is_no_terminal(self) -> None:
        def renews(story: Story) -> str:
            for number in range(3):
                story.progress(f"{number} of 3")
            return "renewed"

        with patch("example_project.story.QUIET_SECONDS", 0.0):
            text = play_steps(Step("First", 5, renews))[1]

        assert "First: 0 of 3" in text
        assert "First: 2 of 3" in text
        assert "0 of 3" not in play_steps(Step("First", 5, renews))[1]


class RepeatTests(SimpleTestCase):
    def test_a_repeat_is_the_same_message_to_the_second(self) -> None:
        story = Story("http://127.0.0.1:9", "http://127.0.0.1:9", "")
        pushed: list[dict[str, Any]] = []
        clock = count(1_700_000_000)

        def control(call: str, **body: Any) -> dict[str, Any]:
            if call == "state":
                return {"clock": float(next(clock))}
            pushed.append(body)
            return {"reply": {"Content": "hello"}, "status": 200, "body": "success"}

        with patch.object(story, "control", control):
            story.repeated()

        identities = {(body["MsgId"], body.get("CreateTime")) for body in pushed}
        assert len(pushed) == 6
        assert len(identities) == 2
        assert all(created_at for _, created_at in identities)
