"""A push is recorded before it is answered, and processed once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import OperationalError, connection

from tests.stage import OFFICIAL, deliver, opened, process
from wechat_open import inbox, platforms, signals, tokens
from wechat_open.exceptions import InvalidPush, WeChatOpenError
from wechat_open.inbox import processing
from wechat_open.models import Authorizer, Push, VerifyTicket
from wechat_open.platforms import Platform
from wechat_open.protocol.envelope import Stamp
from wechat_open.protocol.events import TicketPushed, UnknownEvent
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push as FromWeChat
from wechat_open.stores.tickets import KEPT, TicketStore

Later = Callable[[timedelta], None]


@pytest.fixture
def received() -> Iterator[list[Any]]:
    events: list[Any] = []

    def receiver(event: Any, **_: Any) -> None:
        events.append(event)

    signals.push_received.connect(receiver)
    yield events
    signals.push_received.disconnect(receiver)


def ticket(text: str, created: int, appid: str = "") -> FromWeChat:
    return FromWeChat(
        {
            "AppId": appid or platforms.get().appid,
            "CreateTime": created,
            "InfoType": "component_verify_ticket",
            "ComponentVerifyTicket": text,
        }
    )


def event(info_type: str, **fields: Any) -> FromWeChat:
    return FromWeChat({"AppId": platforms.get().appid, "CreateTime": 1700000000, "InfoType": info_type, **fields})


class TestFuture:
    """Grants and tickets are ordered by CreateTime: what is dated ahead would win for ever."""

    @pytest.mark.parametrize("info_type", ["authorized", "updateauthorized", "unauthorized", "wxa_new_thing"])
    def test_push_dated_ahead__is_refused(self, platform: Platform, info_type: str, caplog: Any) -> None:
        tomorrow = int(time.time()) + 86400
        fields = {"AuthorizerAppid": OFFICIAL, "AuthorizationCode": "code@@@x"}
        with pytest.raises(InvalidPush) as refusal:
            deliver(platform, event(info_type, **{**fields, "CreateTime": tomorrow}))

        assert refusal.value.reason == "ahead"
        assert not Push.objects.exists()
        assert "ahead of the database's clock" in caplog.text

    def test_ticket_dated_ahead__is_taken_and_comes_last(self, platform: Platform, wechat: Simulator) -> None:
        """A database whose clock is slow sees every ticket so, and must not lose its platform."""
        VerifyTicket.objects.all().delete()
        tomorrow = int(time.time()) + 86400

        deliver(platform, event("component_verify_ticket", ComponentVerifyTicket="ticket@@@x", CreateTime=tomorrow))
        assert [ticket.reveal() for ticket in TicketStore(platform.row).best()] == ["ticket@@@x"]

        deliver(platform, wechat.engine.new_ticket())
        newest, last = (ticket.reveal() for ticket in TicketStore(platform.row).best())
        assert (newest, last) == (wechat.engine.ticket, "ticket@@@x")

    def test_push_a_few_minutes_ahead__is_taken(self, platform: Platform) -> None:
        """Clocks differ."""
        assert deliver(platform, event("unauthorized", AuthorizerAppid=OFFICIAL, CreateTime=int(time.time()) + 300))

    def test_clock__is_the_databases(self, platform: Platform, later: Later) -> None:
        in_an_hour = int(time.time()) + 3600
        later(timedelta(hours=1))

        assert deliver(platform, event("unauthorized", AuthorizerAppid=OFFICIAL, CreateTime=in_an_hour))


class TestWindow:
    """Of the time at which WeChat says that it has pushed."""

    @pytest.mark.parametrize("wrong_by", [3600, -3600])
    @pytest.mark.fault("F39")
    def test_host_whose_clock_is_wrong__takes_what_comes_now_and_refuses_what_is_old(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch, wrong_by: int
    ) -> None:
        really = time.time
        now = opened(event("notify_something_new"))
        old = now._replace(stamp=Stamp(str(int(really()) + wrong_by), "nonce", "0" * 40))
        monkeypatch.setattr(time, "time", lambda: really() + wrong_by)

        assert inbox.receive(platform, now).push
        with pytest.raises(InvalidPush) as refusal:
            inbox.receive(platform, old)
        assert refusal.value.reason == "stale"

    def test_push_that_cannot_be_read__is_judged_by_the_same_clock(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        really = time.time
        unreadable = opened(event(""))._replace(fields={})
        monkeypatch.setattr(time, "time", lambda: really() + 3600)

        inbox.receive(platform, unreadable)
        assert Push.objects.get().state == Push.State.ABANDONED


class TestTickets:
    def test_ticket__is_stored_encrypted_with_wechats_time(self, platform: Platform) -> None:
        VerifyTicket.objects.all().delete()
        deliver(platform, ticket("ticket@@@one", 1700000000))

        row = VerifyTicket.objects.get()
        assert row.created_at.timestamp() == 1700000000
        assert "ticket@@@" not in str(VerifyTicket.objects.values().get())
        assert row.reveal("ticket").reveal() == "ticket@@@one"

    def test_repeat__is_one_row(self, platform: Platform) -> None:
        VerifyTicket.objects.all().delete()
        for _ in range(3):
            deliver(platform, ticket("ticket@@@one", 1700000000))

        assert VerifyTicket.objects.count() == 1

    def test_late_old_ticket__does_not_become_the_newest(self, platform: Platform) -> None:
        VerifyTicket.objects.all().delete()
        deliver(platform, ticket("ticket@@@new", 1700000600))
        deliver(platform, ticket("ticket@@@old", 1700000000))

        newest = platform.row.tickets.first()
        assert newest and newest.reveal("ticket").reveal() == "ticket@@@new"

    def test_old_tickets__are_pruned(self, platform: Platform) -> None:
        VerifyTicket.objects.all().delete()
        for number in range(30):
            deliver(platform, ticket(f"ticket@@@{number}", 1700000000 + 600 * number))

        assert VerifyTicket.objects.count() == KEPT
        newest = platform.row.tickets.first()
        assert newest and newest.reveal("ticket").reveal() == "ticket@@@29"

    def test_ticket_that_comes_while_old_ones_are_pruned__stays(self, platform: Platform) -> None:
        for number in range(KEPT):
            deliver(platform, ticket(f"ticket@@@{number}", 1700000000 + number))
        newest = datetime.fromtimestamp(1700009999, timezone.utc)

        def meanwhile(execute: Any, sql: str, *how: Any) -> Any:
            if sql.startswith("DELETE") and not VerifyTicket.objects.filter(digest="meanwhile").exists():
                VerifyTicket.objects.create(
                    component=platform.row, digest="meanwhile", created_at=newest, received_at=newest
                )
            return execute(sql, *how)

        with connection.execute_wrapper(meanwhile):
            deliver(platform, ticket("ticket@@@last", 1700000100))

        assert VerifyTicket.objects.filter(digest="meanwhile").exists()

    def test_tickets_dated_ahead__evict_no_good_one(self, platform: Platform, wechat: Simulator) -> None:
        """From before pushes were bounded, or by a clock of WeChat's: they are tried after all others."""
        now = datetime.now(timezone.utc)
        for number in range(KEPT):
            VerifyTicket.objects.create(
                component=platform.row,
                digest=f"ahead {number}",
                created_at=now + timedelta(days=1, seconds=number),
                received_at=now,
            )
        for _ in range(2):
            deliver(platform, wechat.engine.new_ticket())

        assert tokens.ComponentKeeper(platform).renew_now()
        for _ in range(KEPT):
            deliver(platform, wechat.engine.new_ticket())
        assert not VerifyTicket.objects.filter(digest__startswith="ahead").exists()

    def test_clock_of_wechat_that_was_ahead_for_a_moment__does_not_end_the_platform(
        self, platform: Platform, wechat: Simulator
    ) -> None:
        """Its tickets are dead when the good ones come, and dated after them; the database's clock was as wrong."""
        now = datetime.now(timezone.utc)
        for seconds in range(2):
            ahead = VerifyTicket(
                component=platform.row,
                digest=f"ahead {seconds}",
                created_at=now + timedelta(days=1, seconds=seconds),
                received_at=now + timedelta(days=1, seconds=seconds),
            )
            ahead.ticket = ahead.encrypt("ticket", f"ticket@@@dead {seconds}")
            ahead.save()
        for _ in range(5):
            deliver(platform, wechat.engine.new_ticket())

        assert tokens.ComponentKeeper(platform).renew_now()

    def test_clock_of_wechat_that_goes_back__does_not_end_the_platform(
        self, platform: Platform, wechat: Simulator
    ) -> None:
        """Every ticket that comes is older than those that are stored."""
        VerifyTicket.objects.all().delete()
        for number in range(KEPT):
            deliver(platform, ticket(f"ticket@@@dead {number}", int(time.time()) + number))
        good = wechat.engine.new_ticket()
        deliver(platform, FromWeChat({**good.fields, "CreateTime": int(time.time()) - 3600}))

        assert tokens.ComponentKeeper(platform).renew_now()

    def test_ticket_for_another_platform__is_refused(self, platform: Platform) -> None:
        before = VerifyTicket.objects.count()
        with pytest.raises(InvalidPush):
            deliver(platform, ticket("ticket@@@x", 1700000000, appid="wxsomebodyelse"))
        assert VerifyTicket.objects.count() == before

    def test_ticket__is_announced_by_push_received(self, platform: Platform, received: list[Any]) -> None:
        deliver(platform, ticket("ticket@@@one", 1700000000))

        assert [type(event) for event in received] == [TicketPushed]
        assert "ticket@@@" not in repr(received)
        assert not inbox.announce_tickets(platform)

    def test_ticket_whose_process_died_before_the_signal__is_announced_by_the_next_run(
        self, platform: Platform, received: list[Any], later: Later
    ) -> None:
        deliver(platform, ticket("ticket@@@one", 1700000000))
        VerifyTicket.objects.filter(created_at__year=2023).update(needs_announcing=True)
        assert not inbox.announce_tickets(platform)  # it may be at work still

        later(timedelta(seconds=61))
        assert inbox.announce_tickets(platform) == 1
        assert not inbox.announce_tickets(platform)
        first, second = received
        assert (second.created_at, second.ticket) == (first.created_at, first.ticket)


class TestRecording:
    def test_push__is_stored_encrypted_and_waits(self, platform: Platform) -> None:
        push = deliver(platform, event("notify_something_new", Secret="canary-in-a-push"))

        push.refresh_from_db()
        assert (push.state, push.attempts, push.info_type) == (Push.State.RECEIVED, 0, "notify_something_new")
        assert "canary" not in str(Push.objects.values().get())

    @pytest.mark.fault("F37")
    def test_repeat__is_not_recorded_again(self, platform: Platform) -> None:
        first = deliver(platform, event("notify_something_new"))

        assert first is not None
        assert deliver(platform, event("notify_something_new")) is None
        assert Push.objects.count() == 1

    def test_different_push_of_the_same_second__is_recorded(self, platform: Platform) -> None:
        deliver(platform, event("notify_something_new", a="1"))
        deliver(platform, event("notify_something_new", a="2"))

        assert Push.objects.count() == 2

    def test_two_platforms__do_not_collide(self, platform: Platform) -> None:
        other = platforms.Component.objects.create(appid="wxother")
        push = deliver(platform, event("notify_something_new"))
        Push.objects.filter(pk=push.pk).update(component=other)

        assert deliver(platform, event("notify_something_new")) is not None

    def test_message__is_no_event(self, platform: Platform) -> None:
        with pytest.raises(InvalidPush):
            inbox.receive(platform, opened(FromWeChat({"ToUserName": "gh_1", "MsgType": "text", "Content": "hi"})))
        assert not Push.objects.exists()


class TestProcessing:
    def test_unknown_type__is_kept_and_announced(self, platform: Platform, received: list[Any]) -> None:
        assert process(platform, event("notify_something_new", Detail="x"))

        push = Push.objects.get()
        assert (push.state, push.attempts) == (Push.State.DONE, 1)
        assert isinstance(received[-1], UnknownEvent)
        assert received[-1].fields["Detail"] == "x"

    def test_signal__is_sent_before_the_push_is_done(self, platform: Platform) -> None:
        """Or a worker that is killed in between takes it to its grave."""
        states = []

        def receiver(**_: Any) -> None:
            states.append(Push.objects.get().state)

        signals.push_received.connect(receiver)
        process(platform, event("notify_something_new"))
        signals.push_received.disconnect(receiver)

        assert states == [Push.State.RECEIVED]
        assert Push.objects.get().state == Push.State.DONE

    def test_push_of_a_platform_that_has_left_the_settings__is_repeated(self, platform: Platform, later: Later) -> None:
        push = deliver(platform, event("notify_something_new"))
        Push.objects.update(component=platforms.Component.objects.create(appid="wxgone"))

        assert inbox.process_due() == 0
        push.refresh_from_db()
        assert push.state == Push.State.FAILED
        assert "wxgone" in push.error

    def test_done_push__is_not_done_again(self, platform: Platform, received: list[Any]) -> None:
        process(platform, event("notify_something_new"))

        assert not inbox.process(Push.objects.get().pk)
        assert len(received) == 1

    def test_push_under_a_lease__is_left_alone(self, platform: Platform, later: Later) -> None:
        push = deliver(platform, event("notify_something_new"))
        Push.objects.update(next_attempt_at=push.received_at + timedelta(hours=1))

        assert not inbox.process(push.pk)

    @pytest.mark.parametrize("slow_one_fails", [True, False])
    def test_slow_worker_whose_lease_has_run_out__leaves_the_outcome_of_the_one_that_took_over(
        self, platform: Platform, received: list[Any], monkeypatch: pytest.MonkeyPatch, slow_one_fails: bool
    ) -> None:
        push = deliver(platform, event("notify_something_new"))
        workers = iter(["slow", "second"])

        def act(*_: Any) -> None:
            if next(workers) == "slow":
                Push.objects.update(next_attempt_at=push.received_at - timedelta(seconds=1))
                assert inbox.process(push.pk) is slow_one_fails
                if slow_one_fails:
                    raise WeChatOpenError("No answer.")
            elif not slow_one_fails:
                raise WeChatOpenError("No answer.")

        monkeypatch.setattr(inbox.processing, "act", act)

        assert not inbox.process(push.pk)
        push.refresh_from_db()
        assert push.attempts == 2
        assert push.state == (Push.State.DONE if slow_one_fails else Push.State.FAILED)
        assert push.error == ("" if slow_one_fails else "No answer.")
        assert len(received) == slow_one_fails

    def test_replay__takes_the_lease_from_a_worker_that_is_at_it(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        push = deliver(platform, event("notify_something_new"))
        workers = iter(["slow", "replay"])

        def act(*_: Any) -> None:
            if next(workers) == "slow":
                assert inbox.replay(push)
                raise WeChatOpenError("No answer.")

        monkeypatch.setattr(inbox.processing, "act", act)

        assert not inbox.process(push.pk)
        push.refresh_from_db()
        assert (push.state, push.attempts, push.error) == (Push.State.DONE, 1, "")

    def test_failure__is_repeated_with_backoff(self, wechat: Simulator, platform: Platform, later: Later) -> None:
        wechat.faults.add("api_query_auth", "errcode", -1)
        push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)
        assert not inbox.process(push.pk)
        push.refresh_from_db()
        assert (push.state, push.attempts) == (Push.State.FAILED, 1)
        assert "-1" in push.error

        assert inbox.process_due() == 0
        later(timedelta(seconds=11))
        assert inbox.process_due() == 1
        push.refresh_from_db()
        assert (push.state, push.error) == (Push.State.DONE, "")
        assert Authorizer.objects.get().state == Authorizer.State.AUTHORIZED

    def test_unexpected_failure__is_kept_for_a_person(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise OperationalError("server closed the connection")

        push = deliver(platform, event("notify_something_new"))
        monkeypatch.setattr(inbox.processing, "act", broken)
        assert not inbox.process(push.pk)

        push.refresh_from_db()
        assert push.state == Push.State.FAILED
        assert push.error == "OperationalError: see the log"

    def test_failure_without_end__is_given_up_and_can_be_replayed(self, wechat: Simulator, platform: Platform) -> None:
        wechat.faults.add("api_query_auth", "errcode", -1)
        push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)
        Push.objects.update(attempts=processing.MAX_ATTEMPTS - 1, state=Push.State.FAILED)
        inbox.process(push.pk)
        push.refresh_from_db()
        assert push.state == Push.State.ABANDONED

        assert inbox.replay(push)
        push.refresh_from_db()
        assert push.state == Push.State.DONE

    def test_push_that_ends_each_worker__is_given_up(
        self, platform: Platform, later: Later, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As one that makes the process too large does, or a receiver that calls ``sys.exit``."""
        push = deliver(platform, event("wxa_news"))
        attempts = []

        def receiver(**facts: Any) -> None:
            attempts.append(1)
            raise SystemExit

        signals.push_received.connect(receiver)
        try:
            for _attempt in range(processing.MAX_UNFINISHED):
                with pytest.raises(SystemExit):
                    inbox.process_due()
                later(timedelta(seconds=61))
            assert inbox.process_due() == 0
            later(timedelta(days=1))
            assert inbox.process_due() == 0
        finally:
            signals.push_received.disconnect(receiver)
        push.refresh_from_db()
        assert push.state == Push.State.ABANDONED and "No worker has finished it" in push.error
        assert len(attempts) == processing.MAX_UNFINISHED
        assert "is given up" in caplog.text
        assert inbox.replay(push)

    def test_grant_that_was_cancelled_before_it_was_processed__is_done(
        self, wechat: Simulator, platform: Platform
    ) -> None:
        """As in WeChat's release check, where half a minute lies between the two."""
        granted = deliver(platform, wechat.engine.authorize(OFFICIAL).push)
        wechat.clock.advance(1)
        assert process(platform, wechat.engine.unauthorize(OFFICIAL))

        assert inbox.process(granted.pk)
        assert Authorizer.objects.get(appid=OFFICIAL).state == Authorizer.State.UNAUTHORIZED

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.fault("F38")
    def test_grant_and_cancellation_of_the_same_second__are_settled_by_wechats_answer(
        self, wechat: Simulator, platform: Platform, later: Later, order: tuple[int, int]
    ) -> None:
        granted, cancelled = wechat.engine.authorize(OFFICIAL).push, wechat.engine.unauthorize(OFFICIAL)
        assert granted is not None
        cancelled.fields["CreateTime"] = granted.fields["CreateTime"]
        for number in order:
            process(platform, (granted, cancelled)[number])
        later(timedelta(minutes=1))
        inbox.process_due()

        assert not Push.objects.exclude(state=Push.State.DONE).exists()
        assert Authorizer.objects.get().state == Authorizer.State.UNAUTHORIZED

    def test_grant_that_wechat_denies__is_repeated(self, wechat: Simulator, platform: Platform) -> None:
        granted = deliver(platform, wechat.engine.authorize(OFFICIAL).push)
        wechat.engine.unauthorize(OFFICIAL)

        assert not inbox.process(granted.pk)

    def test_registered_mini_program__is_taken_over(self, wechat: Simulator, platform: Platform) -> None:
        wechat.engine.add_account("New Shop", "mini", appid="wxnewmini")
        code = wechat.engine.authorize("wxnewmini").code
        push = event("notify_third_fasteregister", appid="wxnewmini", status="0", auth_code=code, msg="OK")

        assert process(platform, push)
        assert Authorizer.objects.get(appid="wxnewmini").state == Authorizer.State.AUTHORIZED

    def test_failed_registration__only_reaches_receivers(self, platform: Platform, received: list[Any]) -> None:
        assert process(platform, event("notify_third_fasteregister", appid="wxnewmini", status="101", msg="no"))

        assert not Authorizer.objects.exists()
        assert received[-1].status == 101

    def test_prune__deletes_done_pushes_after_a_month(self, platform: Platform, later: Later) -> None:
        process(platform, event("notify_something_new", a="1"))
        deliver(platform, event("notify_something_new", a="2"))
        assert inbox.prune() == 0

        later(timedelta(days=31))
        assert inbox.prune() == 1
        assert Push.objects.get().state == Push.State.RECEIVED


def test_push_of_a_restricted_account__is_given_up_soon(wechat: Simulator, platform: Platform, later: Later) -> None:
    for path in ("api_query_auth", "api_get_authorizer_info"):
        wechat.faults.add(path, "errcode", 50002, times=10**6)
    push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)
    assert push
    for _ in range(20):
        inbox.process_due()
        later(timedelta(minutes=16))

    push.refresh_from_db()
    assert (push.state, push.attempts) == (Push.State.ABANDONED, processing.MAX_REFUSALS)


def test_code_of_a_restricted_account__is_no_loss_while_wechat_has_the_grant(
    wechat: Simulator, platform: Platform
) -> None:
    wechat.faults.add("api_query_auth", "errcode", 50002, times=10**6)
    process(platform, wechat.engine.authorize(OFFICIAL).push)

    assert Authorizer.objects.get(appid=OFFICIAL).reveal("refresh_token")
