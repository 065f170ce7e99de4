"""How does the story say that a step failed?"""

from __future__ import annotations

import io
import time
from unittest.mock import patch

from django.test import SimpleTestCase

from example_project.story import STEPS, Failed, Step, Story, tell


def told(*steps: Step) -> tuple[bool, str]:
    out = io.StringIO()
    return tell(Story("http://127.0.0.1:9", "http://127.0.0.1:9", ""), out, steps), out.getvalue()


def fails(story: Story) -> str:
    raise Failed("the ticket is missing")


def breaks(story: Story) -> str:
    raise ZeroDivisionError("boom")


def waits(story: Story) -> str:
    return story.until(lambda: "", "Something that never comes")


class TellTests(SimpleTestCase):
    def test_all_steps_came_true(self) -> None:
        well, text = told(Step("First", 5, lambda story: "seen this"), Step("Second", 5, lambda story: "and that"))

        assert well
        for line in ("✓  1 First", "seen this", "✓  2 Second", "and that", "All 2 steps came true"):
            assert line in text

    def test_the_first_that_fails_ends_it_with_its_name_and_reason(self) -> None:
        well, text = told(Step("First", 5, fails), Step("Second", 5, lambda story: "never"))

        assert not well
        assert "Failed at step 1 of 2: First\nthe ticket is missing" in text
        assert "Second" not in text

    def test_whatever_else_is_raised_is_a_reason_too(self) -> None:
        assert "ZeroDivisionError: boom" in told(Step("First", 5, breaks))[1]

    def test_a_dead_site_is_a_reason_too(self) -> None:
        well, text = told(STEPS[2])

        assert not well
        assert "Connection" in text

    def test_a_step_has_its_time_and_no_more(self) -> None:
        started = time.monotonic()

        text = told(Step("First", 0.3, waits))[1]

        assert time.monotonic() - started < 3
        assert "Something that never comes: not seen in time." in text

    def test_a_long_step_says_how_far_it_is_where_there_is_no_terminal(self) -> None:
        def renews(story: Story) -> str:
            for number in range(3):
                story.murmur(f"{number} of 3")
            return "renewed"

        with patch("example_project.story.QUIET_SECONDS", 0.0):
            text = told(Step("First", 5, renews))[1]

        assert "First: 0 of 3" in text
        assert "First: 2 of 3" in text
        assert "0 of 3" not in told(Step("First", 5, renews))[1]
