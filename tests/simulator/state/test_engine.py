"""The engine's rules as pure values, without HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Clock, Engine, Settings
from wechat_open.simulator.errors import Refused
from wechat_open.simulator.state.engine import COMPONENT

HOUR = 3600


def refuses(errcode: int) -> pytest.RaisesExc[Refused]:
    return pytest.RaisesExc(Refused, check=lambda error: error.errcode == errcode)


def granted(engine: Engine, appid: str = DEMO_OFFICIAL) -> tuple[str, str]:
    """An account after its authorization: access token and refresh token."""
    _, grant, token = engine.query_auth(engine.authorize(appid).code)
    return token.text, grant.refresh_token


def component_token(engine: Engine) -> str:
    engine.new_ticket()
    return engine.issue_component_token(engine.ticket).text


# Tickets and the component's token


def test_no_ticket_before_the_first_push(engine: Engine) -> None:
    assert engine.ticket == ""


def test_earlier_ticket__is_still_valid(engine: Engine) -> None:
    engine.new_ticket()
    earlier = engine.ticket
    engine.new_ticket()
    assert engine.issue_component_token(earlier).owner == COMPONENT


def test_unknown_ticket__is_invalid(engine: Engine) -> None:
    with refuses(61006):
        engine.issue_component_token("ticket@@@guessed")


def test_ticket_after_twelve_hours__has_expired(engine: Engine, clock: Clock) -> None:
    engine.new_ticket()
    clock.advance(12 * HOUR)
    with refuses(61005):
        engine.issue_component_token(engine.ticket)


def test_new_component_token__ends_the_old_one_at_once(engine: Engine) -> None:
    old, new = component_token(engine), component_token(engine)
    assert engine.owner_of(new) == COMPONENT
    with refuses(40001):
        engine.owner_of(old)


def test_overlap__keeps_the_old_token_valid_for_a_while(engine: Engine, settings: Settings, clock: Clock) -> None:
    settings.access_token_overlap = 300
    oldest, old, new = component_token(engine), component_token(engine), component_token(engine)
    assert {engine.owner_of(old), engine.owner_of(new)} == {COMPONENT}
    with refuses(40001):
        engine.owner_of(oldest)
    clock.advance(300)
    with refuses(40001):
        engine.owner_of(old)


def test_token_after_its_life__has_expired(engine: Engine, settings: Settings, clock: Clock) -> None:
    settings.token_life = 20
    token = component_token(engine)
    clock.advance(19.9)
    assert engine.owner_of(token) == COMPONENT
    clock.advance(0.1)
    with refuses(42001):
        engine.owner_of(token)


@pytest.mark.parametrize(("token", "errcode"), [("", 41001), ("short", 40014), ("spaces in it" * 9, 40014)])
def test_malformed_token__has_another_errcode_than_an_expired_one(engine: Engine, token: str, errcode: int) -> None:
    with refuses(errcode):
        engine.owner_of(token)


def test_killed_component_token__is_not_the_latest(engine: Engine) -> None:
    token = component_token(engine)
    engine.kill_component_token()
    engine.kill_component_token()
    with refuses(40001):
        engine.owner_of(token)


@pytest.mark.parametrize(
    ("appid", "secret", "errcode"),
    [("", "x", 41018), ("wxother", "x", 40013), (Settings.appid, "", 41004), (Settings.appid, "wrong", 40125)],
)
def test_wrong_credentials__are_named(engine: Engine, appid: str, secret: str, errcode: int) -> None:
    with refuses(errcode):
        engine.prove(appid, secret)


# Codes


def test_pre_auth_code__has_four_states(engine: Engine, clock: Clock) -> None:
    code, expires_in = engine.new_pre_auth_code()
    assert engine.pre_auth_code_state(code) == "good"
    clock.advance(expires_in)
    assert engine.pre_auth_code_state(code) == "expired"
    clock.advance(2 * HOUR)
    engine.new_pre_auth_code()
    assert engine.pre_auth_code_state(code) == "unknown"


def test_pre_auth_code__authorizes_once(engine: Engine) -> None:
    code, _ = engine.new_pre_auth_code()
    engine.authorize(DEMO_OFFICIAL, pre_auth_code=code)
    assert engine.pre_auth_code_state(code) == "used"
    with refuses(40097):
        engine.authorize(DEMO_MINI, pre_auth_code=code)


def test_authorization_code__is_exchanged_once(engine: Engine) -> None:
    code = engine.authorize(DEMO_OFFICIAL).code
    account, grant, token = engine.query_auth(code)
    assert (account.appid, grant.access) == (DEMO_OFFICIAL, token)
    with refuses(61009):
        engine.query_auth(code)


def test_authorization_code__expires(engine: Engine, clock: Clock) -> None:
    done = engine.authorize(DEMO_OFFICIAL)
    clock.advance(done.expires_in)
    with refuses(61010):
        engine.query_auth(done.code)


def test_authorization_code_of_an_earlier_grant__is_invalid(engine: Engine) -> None:
    earlier = engine.authorize(DEMO_OFFICIAL).code
    engine.authorize(DEMO_OFFICIAL)
    with refuses(61009):
        engine.query_auth(earlier)


def test_unknown_authorization_code__is_invalid(engine: Engine) -> None:
    with refuses(61009):
        engine.query_auth("queryauthcode@@@guessed")


# Grants


def test_first_authorization__pushes_wechats_fields(engine: Engine, clock: Clock) -> None:
    code, _ = engine.new_pre_auth_code()
    done = engine.authorize(DEMO_OFFICIAL, pre_auth_code=code)
    assert done.push is not None
    assert done.push.fields == {
        "AppId": engine.settings.appid,
        "CreateTime": int(clock.now()),
        "InfoType": "authorized",
        "AuthorizerAppid": DEMO_OFFICIAL,
        "AuthorizationCode": done.code,
        "AuthorizationCodeExpiredTime": int(clock.now()) + done.expires_in,
        "PreAuthCode": code,
    }


def test_reauthorization__is_pushed_only_when_the_sets_changed(engine: Engine) -> None:
    engine.authorize(DEMO_OFFICIAL, permissions=(1, 2))
    assert engine.authorize(DEMO_OFFICIAL, permissions=(2, 1)).push is None
    changed = engine.authorize(DEMO_OFFICIAL, permissions=(1,))
    assert changed.push is not None
    assert changed.push.name == "updateauthorized"


def test_reauthorization__ends_both_tokens(engine: Engine) -> None:
    access, refresh = granted(engine)
    engine.authorize(DEMO_OFFICIAL)
    with refuses(40001):
        engine.owner_of(access)
    with refuses(61023):
        engine.refresh(DEMO_OFFICIAL, refresh)


def test_unauthorize__ends_both_tokens(engine: Engine) -> None:
    access, refresh = granted(engine)
    assert engine.unauthorize(DEMO_OFFICIAL).name == "unauthorized"
    with refuses(40001):
        engine.owner_of(access)
    with refuses(61003):
        engine.refresh(DEMO_OFFICIAL, refresh)
    with refuses(61003):
        engine.unauthorize(DEMO_OFFICIAL)


def test_unknown_account__is_no_appid(engine: Engine) -> None:
    with refuses(40013):
        engine.authorize("wxnobody")


def test_account_without_an_appid__has_the_same_one_in_every_run(engine: Engine) -> None:
    appid = engine.add_account("Tea", "mini").appid
    assert appid == Engine().add_account("Tea", "mini").appid
    with pytest.raises(ValueError, match=appid):
        engine.add_account("Tea", "mini")


# Refreshing, in the three modes


def test_strict__old_refresh_token_and_old_access_token_end_at_once(engine: Engine) -> None:
    old_access, old_refresh = granted(engine)
    token = engine.refresh(DEMO_OFFICIAL, old_refresh)
    assert engine.owner_of(token.text) == DEMO_OFFICIAL
    assert token.refresh_token != old_refresh
    with refuses(61023):
        engine.refresh(DEMO_OFFICIAL, old_refresh)
    with refuses(40001):
        engine.owner_of(old_access)


def test_grace__old_refresh_token_works_for_five_minutes(engine: Engine, settings: Settings, clock: Clock) -> None:
    settings.rotation = "grace"
    _, old = granted(engine)
    new = engine.refresh(DEMO_OFFICIAL, old).refresh_token
    clock.advance(299)
    newest = engine.refresh(DEMO_OFFICIAL, old).refresh_token
    assert len({old, new, newest}) == 3
    clock.advance(1)
    with refuses(61023):
        engine.refresh(DEMO_OFFICIAL, old)
    engine.refresh(DEMO_OFFICIAL, new)


def test_stable__refresh_token_never_changes(engine: Engine, settings: Settings) -> None:
    settings.rotation = "stable"
    _, refresh = granted(engine)
    for _ in range(3):
        assert engine.refresh(DEMO_OFFICIAL, refresh).refresh_token == refresh


@pytest.mark.parametrize("token", ["", "refreshtoken@@@guessed"])
def test_wrong_refresh_token__is_refused(engine: Engine, token: str) -> None:
    granted(engine)
    with refuses(61023):
        engine.refresh(DEMO_OFFICIAL, token)


def test_silently_replaced_refresh_token__is_in_the_list_only(engine: Engine) -> None:
    _, refresh = granted(engine)
    engine.replace_refresh_token(DEMO_OFFICIAL)
    with refuses(61023):
        engine.refresh(DEMO_OFFICIAL, refresh)
    _, page = engine.listed(0, 500)
    assert page[0].grant is not None
    engine.refresh(DEMO_OFFICIAL, page[0].grant.refresh_token)


def test_killed_access_token__is_not_the_latest(engine: Engine) -> None:
    access, refresh = granted(engine)
    engine.kill_access_token(DEMO_OFFICIAL)
    with refuses(40001):
        engine.owner_of(access)
    engine.refresh(DEMO_OFFICIAL, refresh)


def test_concurrent_refreshes__each_get_a_pair_that_belongs_together(engine: Engine, settings: Settings) -> None:
    settings.rotation = "grace"
    _, refresh = granted(engine)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: engine.refresh(DEMO_OFFICIAL, refresh), range(200)))
    alive = [token for token in tokens if token is engine.account(DEMO_OFFICIAL).grant.access]
    assert len(alive) == 1
    assert alive[0].refresh_token == engine.account(DEMO_OFFICIAL).grant.refresh_token
    assert len({token.refresh_token for token in tokens}) == 200


def test_overlapping_refreshes__are_counted(engine: Engine) -> None:
    with engine.refreshing(DEMO_OFFICIAL), engine.refreshing(DEMO_OFFICIAL):
        pass
    with engine.refreshing(DEMO_OFFICIAL), engine.refreshing("wxnobody"):
        pass
    account = engine.account(DEMO_OFFICIAL)
    assert (account.refreshes, account.overlaps, account.max_concurrent_refreshes) == (3, 1, 2)


# Quotas, permissions, options


def test_quota__is_per_account_and_day(engine: Engine, settings: Settings, clock: Clock) -> None:
    settings.quotas = {"/path": 2}
    engine.spend("/path", "wx1")
    engine.spend("/path", "wx1")
    engine.spend("/path", "wx2")
    with refuses(45009):
        engine.spend("/path", "wx1")
    assert engine.used("/path", "wx1") == 2
    clock.advance(24 * HOUR)
    engine.spend("/path", "wx1")


def test_quota__is_cleared_ten_times_a_month(engine: Engine, settings: Settings) -> None:
    settings.quotas = {"/path": 1}
    engine.spend("/path", "wx2")
    for _ in range(10):
        engine.spend("/path", "wx1")
        engine.clear_quota("wx1")
    with refuses(48006):
        engine.clear_quota("wx1")
    assert engine.used("/path", "wx2") == 1


def test_quota_of_tokens__rises_as_their_life_is_shortened() -> None:
    path = "/cgi-bin/component/api_component_token"
    assert Settings(token_life=72).quota(path) == 100 * Settings().quota(path)


def test_permission__must_be_owned_and_granted(engine: Engine) -> None:
    engine.accounts[DEMO_OFFICIAL].lacks = frozenset({7})
    engine.authorize(DEMO_OFFICIAL, permissions=(1, 7))
    engine.require_permission(DEMO_OFFICIAL, {"official": (1,)})
    engine.require_permission(DEMO_OFFICIAL, {"official": (7, 2, 1)})
    with refuses(61007):
        engine.require_permission(DEMO_OFFICIAL, {"official": (2,)})
    with refuses(61007):
        engine.require_permission(DEMO_OFFICIAL, {"official": (7, 2)})
    with refuses(48001):
        engine.require_permission(DEMO_OFFICIAL, {"official": (7,)})
    with refuses(48001):
        engine.require_permission(DEMO_OFFICIAL, {"mini": (19,)})


def test_options__have_their_names_and_values(engine: Engine) -> None:
    engine.authorize(DEMO_OFFICIAL)
    engine.set_option(DEMO_OFFICIAL, "location_report", "2")
    assert engine.option(DEMO_OFFICIAL, "location_report") == "2"
    with refuses(61013):
        engine.set_option(DEMO_OFFICIAL, "voice_recognize", "2")
    with refuses(61012):
        engine.set_option(DEMO_OFFICIAL, "mood", "1")
    with refuses(61012):
        engine.option(DEMO_OFFICIAL, "mood")


# Followers


def test_message__has_defaults_for_missing_fields(engine: Engine, clock: Clock) -> None:
    push = engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text", "Content": "hi"})
    user_name = engine.account(DEMO_OFFICIAL).user_name
    assert push.fields.pop("MsgId").isdecimal()
    assert push.fields == {
        "ToUserName": user_name,
        "FromUserName": "o1",
        "CreateTime": int(clock.now()),
        "MsgType": "text",
        "Content": "hi",
    }
    assert (push.appid, push.user_name, push.openid, push.name) == (DEMO_OFFICIAL, user_name, "o1", "text")
    assert "MsgId" not in engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "event", "Event": "SCAN"}).fields


def test_answer__is_possible_for_48_hours_and_20_times(engine: Engine, clock: Clock) -> None:
    engine.authorize(DEMO_OFFICIAL)
    message = {"touser": "o1", "msgtype": "text", "text": {"content": "hello"}}
    with refuses(45015):
        engine.send(DEMO_OFFICIAL, message)
    engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    for _ in range(20):
        engine.send(DEMO_OFFICIAL, message)
    with refuses(45047):
        engine.send(DEMO_OFFICIAL, message)
    assert engine.sent_to(DEMO_OFFICIAL, "o1") == [message] * 20
    clock.advance(48 * HOUR)
    with refuses(45015):
        engine.send(DEMO_OFFICIAL, message)
    with refuses(40003):
        engine.send(DEMO_OFFICIAL, {"touser": 7})


def test_followers__are_limited(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat_open.simulator.state.engine.MAX_FOLLOWERS", 3)
    for number in range(5):
        engine.message(DEMO_OFFICIAL, f"o{number}", {"MsgType": "text"})
    assert engine.followers(DEMO_OFFICIAL)[2:] == ["o2", "o3", "o4"]
    assert engine.sent_to(DEMO_OFFICIAL, "o1") == []


def test_oauth_code__works_once_for_its_account(engine: Engine, clock: Clock) -> None:
    engine.authorize(DEMO_OFFICIAL)
    engine.authorize(DEMO_MINI)
    code = engine.new_oauth_code(DEMO_OFFICIAL, "o1", "snsapi_base")
    with refuses(40029):
        engine.exchange_oauth_code(DEMO_MINI, code)
    assert engine.exchange_oauth_code(DEMO_OFFICIAL, code) == ("o1", "snsapi_base")
    with refuses(40163):
        engine.exchange_oauth_code(DEMO_OFFICIAL, code)
    clock.advance(300)
    with refuses(40029):
        engine.exchange_oauth_code(DEMO_OFFICIAL, code)


# Looking back, and size


def test_rid__is_kept_for_its_caller_for_a_week(engine: Engine, clock: Clock) -> None:
    for number in range(201):
        engine.remember(f"rid-{number}", "wx1", "/path")
    assert engine.recall("rid-200", "wx1").path == "/path"
    for rid, owner in (("rid-0", "wx1"), ("rid-200", "wx2")):
        with refuses(76001):
            engine.recall(rid, owner)
    clock.advance(7 * 24 * HOUR)
    with refuses(76001):
        engine.recall("rid-200", "wx1")


def test_list__pages_through_thousands(engine: Engine) -> None:
    for number in range(3000):
        engine.authorize(engine.add_account(f"shop {number}", "mini").appid)
    seen = [account.appid for offset in range(0, 3000, 500) for account in engine.listed(offset, 500)[1]]
    assert len(set(seen)) == 3000
    assert engine.listed(2990, 500) == (3000, list(engine.accounts.values())[-10:])


def test_clock__only_goes_forward(clock: Clock) -> None:
    assert clock.advance(10) == clock.now() == 1_700_000_010
    assert clock.ahead == 10
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_mint__makes_runs_repeatable() -> None:
    numbers = iter(range(100))
    engine = Engine(mint=lambda size: f"{next(numbers):0{size}}")
    assert engine.authorize(DEMO_OFFICIAL).code == "queryauthcode@@@" + f"{2:030}"


def test_messages_of_a_restarted_simulator__have_new_ids(settings: Settings) -> None:
    """A site would take them for WeChat's second try, and give the old answer."""
    now = 1_700_000_000.0
    before = Engine(settings, clock=Clock(lambda: now)).message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    now += 1
    after = Engine(settings, clock=Clock(lambda: now)).message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    assert before.fields["MsgId"] < after.fields["MsgId"]
