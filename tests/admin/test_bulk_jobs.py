"""The page of a bulk action shows its progress and its failures, and can stop it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from tests.admin.staff import found, page, person, rows
from wechat_open.models import AuditEntry, Authorizer, BulkFailure, BulkJob, Component
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Forget
from wechat_open.translation import translate

Kind = AuditEntry.Kind


@pytest.fixture
def accounts(db: None) -> list[Authorizer]:
    component = Component.objects.create(appid=site.WECHAT_OPEN["COMPONENTS"]["default"]["APPID"])
    return [
        Authorizer.objects.create(component=component, appid=f"wx{number}", nick_name=f"<b>Shop {number}</b>")
        for number in range(4)
    ]


@pytest.fixture
def operator(db: None) -> Client:
    return person("operator", "view_authorizer", "forget_account")


@pytest.fixture
def job(operator: Client, accounts: list[Authorizer]) -> BulkJob:
    """Of four accounts, two have left and can be forgotten."""
    Authorizer.objects.filter(pk__in=[accounts[0].pk, accounts[1].pk]).update(state=Authorizer.State.UNAUTHORIZED)
    keys = [account.pk for account in accounts]
    return jobs.start(Forget(), keys, user=User.objects.get(username="operator"))


def facts(browser: Client, job: BulkJob) -> dict[str, Any]:
    answer = browser.get(reverse("admin:wechat_open_bulkjob_progress", args=[job.pk]))
    assert answer.status_code == 200
    seen: dict[str, Any] = json.loads(answer.content)
    return seen


def shown(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def order(browser: Client, job: BulkJob, what: str) -> Any:
    return browser.post(reverse(f"admin:wechat_open_bulkjob_{what}", args=[job.pk]), follow=True)


def half_done(job: BulkJob, monkeypatch: pytest.MonkeyPatch, rows: int = 2) -> None:
    """The worker's time is over after so many rows."""
    times = iter(range(100))

    class FakeTiming:
        def monotonic(self) -> float:
            return float(next(times))

        def sleep(self, seconds: float) -> None:
            return None

    class Unhurried:
        def __init__(self, *pace: Any) -> None: ...

        def wait(self) -> None: ...

    monkeypatch.setattr(jobs, "Limiter", Unhurried)
    jobs.run(job.pk, seconds=rows + 0.5, timing=FakeTiming())  # type: ignore[arg-type]


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_page__shows_how_far_it_is_without_a_script(
    operator: Client, job: BulkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(operator, page(job))
    assert "waiting" in text
    assert '<progress value="0" max="4"' in text
    half_done(job, monkeypatch)

    text = shown(operator, page(job))
    assert "working" in text
    assert '<progress value="2" max="4"' in text
    assert "2 / 4" in text
    assert "about " in text
    assert "operator" in text
    assert 'role="status" aria-live="polite"' in text
    assert 'data-finished="no"' in text
    assert ">Stop</button>" in text
    assert "http-equiv" not in text


def test_finished_job__shows_what_failed_with_a_link_to_each(operator: Client, job: BulkJob) -> None:
    jobs.run(job.pk)
    text = shown(operator, page(job))

    assert "finished, with failures" in text
    assert "&lt;b&gt;Shop 2&lt;/b&gt; (wx2)" in text
    assert "<b>Shop" not in text
    assert f'href="{page(Authorizer.objects.get(appid="wx3"))}"' in text
    assert "WeChat would list it again" in text
    assert 'data-finished="yes"' in text


def test_errors_of_wechat__are_explained_in_the_readers_language(operator: Client, job: BulkJob) -> None:
    BulkFailure.objects.create(job=job, key=1, name="Shop", reason="61003", errcode=61003, rid="r-1", message="WeChat")
    BulkJob.objects.update(
        failed=1,
        position=3,
        finished_at=timezone.now(),
        stopped_at=timezone.now(),
        reason={"message": "WeChat answered", "errcode": 45009, "rid": ""},
    )
    seen = facts(operator, job)
    assert '<span class="wechat-open-tag wechat-open-bad">1</span> 61003 The ' in seen["failures"]
    assert '<code class="wechat-open-hint">r-1</code>' in seen["failures"]
    assert seen["reason"] == "It stopped automatically: 45009 The daily quota of this API is used up"
    assert (seen["state"], seen["tone"], seen["stopped"]) == ("stopped", "bad", True)

    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    assert "45009 接口调用超过每日限额" in facts(operator, job)["reason"]


@pytest.mark.parametrize(
    ("columns", "seen"),
    [
        ({"position": 1}, "2 rows are set aside for later: 45009 The daily quota of this API is used up"),
        ({"position": 1, "finished_at": timezone.now()}, "2 rows are set aside for later: 45009 The daily quota"),
        ({"position": 2, "finished_at": timezone.now()}, "It stopped automatically: 45009 The daily quota"),
    ],
    ids=["at work", "stopped by a person", "stopped by itself"],
)
def test_rows_set_aside__are_shown_with_the_reason(
    operator: Client, job: BulkJob, columns: dict[str, Any], seen: str
) -> None:
    reason = {"message": "WeChat answered", "errcode": 45009, "rid": "", "aside": 2}
    BulkJob.objects.update(reason=reason, created_at=timezone.now() - timedelta(minutes=10), **columns)

    shows = facts(operator, job)

    assert shows["reason"].startswith(seen)
    assert shows["rows"] == f"{columns['position']} / 4"


def test_time_left__is_that_of_the_rows_that_can_be_done(operator: Client, job: BulkJob) -> None:
    at_work = {"position": 2, "leased_until": timezone.now() + timedelta(days=1)}
    BulkJob.objects.update(created_at=timezone.now() - timedelta(minutes=20), **at_work)
    assert facts(operator, job)["left"] == "about 20\xa0minutes left"
    BulkJob.objects.update(reason={"message": "WeChat answered", "errcode": 45009, "rid": "", "aside": 1})
    assert facts(operator, job)["left"] == "about 10\xa0minutes left"


def test_progress__gives_the_script_what_the_page_shows(
    operator: Client, job: BulkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(job, monkeypatch)
    seen = facts(operator, job)
    assert (seen["position"], seen["total"], seen["finished"], seen["done"]) == (2, 4, False, "2")
    assert seen["spoken"] == "working: 2 / 4, failed: 0"

    jobs.run(job.pk)
    seen = facts(operator, job)
    assert (seen["finished"], seen["failed"]) == (True, "2")
    assert seen["failures"].count("<li>") == 2
    assert seen["finished_at"] != "–"


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        ({}, False),
        ({"created_at": timezone.now() - timedelta(hours=1)}, True),
        (
            {
                "created_at": timezone.now() - timedelta(hours=1),
                "leased_until": timezone.now() + timedelta(days=1),
            },
            False,
        ),
        ({"created_at": timezone.now() - timedelta(hours=1), "finished_at": timezone.now()}, False),
    ],
)
def test_job_without_a_worker__has_a_hint(operator: Client, job: BulkJob, columns: dict[str, Any], hint: bool) -> None:
    BulkJob.objects.update(**columns)
    assert ("check that a Celery worker" in facts(operator, job)["hint"]) is hint


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_large_numbers__are_grouped(operator: Client, job: BulkJob, language: str) -> None:
    BulkJob.objects.update(total=12_000, position=1_010, done=1, failed=1_009)
    for shown in (page(job), rows(BulkJob)):
        text = operator.get(shown, headers={"Accept-Language": language}).content.decode()
        assert "1,010 / 12,000" in text
        assert re.search(r">1,009<", text)


def test_list__shows_jobs_newest_first_without_reading_their_targets(
    operator: Client, job: BulkJob, django_assert_max_num_queries: Any
) -> None:
    second = jobs.start(Forget(), [], user=User.objects.get(username="operator"))
    assert found(operator, BulkJob) == [second.pk, job.pk]
    with django_assert_max_num_queries(8) as captured:
        text = shown(operator, rows(BulkJob))
    assert "Forget accounts" in text
    assert "0 / 4" in text
    assert not [query for query in captured.captured_queries if "targets" in query["sql"]]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages__have_no_inline_style_or_script(operator: Client, job: BulkJob, language: str) -> None:
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    jobs.run(job.pk)
    everything = shown(operator, page(job)) + shown(operator, rows(BulkJob))
    assert ' style="' not in everything
    assert "wechat_open/bulk.js" in everything


# -- what may be done --------------------------------------------------------------------------------------------------


def test_stop__ends_it_and_is_in_both_histories(operator: Client, job: BulkJob) -> None:
    text = order(operator, job, "stop").content.decode()
    assert "No further rows are processed." in text
    assert BulkJob.objects.get().finished_at
    assert LogEntry.objects.get().change_message == "No further rows are processed."
    assert AuditEntry.objects.get(kind=Kind.BULK_STOPPED).actor == "operator"
    assert "This action has already ended." in order(operator, job, "stop").content.decode()

    assert ">Continue with the rest</button>" in text
    assert "It continues with the remaining rows." in order(operator, job, "resume").content.decode()
    jobs.run(job.pk)
    assert BulkJob.objects.get().position == 4
    assert "There is nothing left to do." in order(operator, job, "resume").content.decode()


def test_what_failed__is_tried_again_by_a_new_job(operator: Client, job: BulkJob, accounts: list[Authorizer]) -> None:
    assert "No row has failed." in order(operator, job, "retry").content.decode(), "it has not ended yet"
    jobs.run(job.pk)
    job.refresh_from_db()
    assert list(job.failures.order_by("pk").values_list("key", flat=True)) == [accounts[2].pk, accounts[3].pk]
    assert ">Try all failures again</button>" in shown(operator, page(job))
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)

    text = order(operator, job, "retry").content.decode()
    new = BulkJob.objects.latest("created_at")
    assert "The failed rows are tried again." in text and f"/bulkjob/{new.pk}/progress/" in text
    assert (new.action, new.targets, new.actor) == (job.action, [accounts[2].pk, accounts[3].pk], "operator")
    jobs.run(new.pk)
    assert Authorizer.objects.count() == 0


@pytest.fixture
def mixed(operator: Client, job: BulkJob, accounts: list[Authorizer]) -> BulkJob:
    """Ended, with failures for two reasons, one of them in more rows than the page names."""
    BulkFailure.objects.bulk_create(
        [
            *(
                BulkFailure(job=job, key=accounts[2].pk + number, name=f"Shop {number}", reason="48001", errcode=48001)
                for number in range(30)
            ),
            BulkFailure(job=job, key=accounts[3].pk + 1000, name="=1+1", reason="61003", errcode=61003, rid="r-2"),
        ]
    )
    BulkJob.objects.update(failed=31, done=0, position=4, finished_at=timezone.now())
    job.refresh_from_db()
    return job


def test_failures__are_grouped_by_reason_the_most_frequent_first(operator: Client, mixed: BulkJob) -> None:
    text = shown(operator, page(mixed))
    heads = re.findall(r"<h3>(.*?)</h3>", text)
    assert [re.sub("<[^>]+>", "", head)[:8] for head in heads] == ["30 48001", "1 61003 "]
    assert text.count("<li><a href") >= 21 and "10 more are in the export." in text


def test_failures_of_one_reason__are_tried_again_alone(operator: Client, mixed: BulkJob) -> None:
    assert ">Try these again</button>" in shown(operator, page(mixed))
    operator.post(reverse("admin:wechat_open_bulkjob_retry", args=[mixed.pk]), {"reason": "61003"})
    new = BulkJob.objects.latest("pk")
    assert new.targets == [mixed.failures.get(reason="61003").key]
    assert f'href="{page(mixed)}">#{mixed.pk}</a>' in shown(operator, page(new))

    operator.post(reverse("admin:wechat_open_bulkjob_retry", args=[mixed.pk]))
    assert len(BulkJob.objects.latest("pk").targets) == 31
    bad = operator.post(reverse("admin:wechat_open_bulkjob_retry", args=[mixed.pk]), {"reason": "\x00"})
    assert bad.status_code == 400


def exported(browser: Client, job: BulkJob, query: str = "") -> list[dict[str, str]]:
    answer = browser.get(reverse("admin:wechat_open_bulkjob_export", args=[job.pk]) + query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(text)))


def test_failures__are_exported_without_formulas(operator: Client, mixed: BulkJob) -> None:
    lines = exported(operator, mixed)
    assert len(lines) == 31
    assert lines[-1]["row"] == "'=1+1"
    assert (lines[-1]["errcode"], lines[-1]["request id (rid)"]) == ("61003", "r-2")
    assert lines[-1]["meaning"]
    assert [line["row"] for line in exported(operator, mixed, "?reason=61003")] == ["'=1+1"]
    assert exported(operator, mixed, "?reason=%00") == []


def test_page__names_no_rows_to_those_who_may_not_see_them(mixed: BulkJob) -> None:
    viewer = person("viewer", "view_bulkjob")
    text = shown(viewer, page(mixed)) + str(facts(viewer, mixed))
    assert "Shop 1" not in text
    assert "48001" in text and "Only readers who may view such rows see which ones these are." in text
    assert viewer.get(reverse("admin:wechat_open_bulkjob_export", args=[mixed.pk])).status_code == 403
    assert (
        person("stranger", "forget_account")
        .get(reverse("admin:wechat_open_bulkjob_export", args=[mixed.pk]))
        .status_code
        == 404
    )


@pytest.mark.parametrize("what", ["stop", "resume", "retry"])
def test_nothing__happens_by_get(operator: Client, job: BulkJob, what: str) -> None:
    assert operator.get(reverse(f"admin:wechat_open_bulkjob_{what}", args=[job.pk])).status_code == 405
    operator.get(page(job) + f"?action={what}")
    assert BulkJob.objects.get().stopped_at is None


def test_forged_post__is_refused(job: BulkJob) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(username="operator"))
    assert order(browser, job, "stop").status_code == 403
    assert BulkJob.objects.get().stopped_at is None


def test_colleague__sees_only_their_own_jobs(job: BulkJob) -> None:
    colleague = person("colleague", "forget_account")
    assert found(colleague, BulkJob) == []
    assert colleague.get(reverse("admin:wechat_open_bulkjob_progress", args=[job.pk])).status_code == 404
    assert order(colleague, job, "stop").status_code == 404
    assert colleague.get(page(job)).status_code == 302
    assert BulkJob.objects.get().stopped_at is None


def test_viewer__sees_all_and_stops_none(job: BulkJob) -> None:
    viewer = person("viewer", "view_bulkjob")
    assert found(viewer, BulkJob) == [job.pk]
    assert facts(viewer, job)["total"] == 4
    assert ">Stop</button>" not in shown(viewer, page(job))
    assert order(viewer, job, "stop").status_code == 403
    assert BulkJob.objects.get().stopped_at is None


def test_user_who_may_change_jobs__stops_those_of_others_that_they_could_have_started(job: BulkJob) -> None:
    without = person("without", "view_bulkjob", "change_bulkjob")
    assert order(without, job, "stop").status_code == 403
    chief = person("chief", "view_bulkjob", "change_bulkjob", "forget_account")
    assert "No further rows are processed." in order(chief, job, "stop").content.decode()


def test_staff_without_an_operation__see_no_jobs(job: BulkJob) -> None:
    unprivileged = person("unprivileged", "view_authorizer")
    assert unprivileged.get(rows(BulkJob)).status_code == 403
    assert unprivileged.get(page(job)).status_code in (302, 403)


def test_user_who_has_lost_the_permission__no_longer_stops_their_own(operator: Client, job: BulkJob) -> None:
    User.objects.get(username="operator").user_permissions.remove(Permission.objects.get(codename="forget_account"))
    assert order(operator, job, "stop").status_code in (403, 404)
    assert BulkJob.objects.get().stopped_at is None


def test_state_words__are_in_the_readers_language(operator: Client, job: BulkJob) -> None:
    with override("zh-hans"):
        expected = translate(Forget.title)
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    assert expected in shown(operator, rows(BulkJob))
