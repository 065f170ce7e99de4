"""Accounts that have authorized the platform, for tests.

The simulator makes the grant and the row is written here, with tokens that the simulator accepts and without a call.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import Any

from django.apps import apps

from .. import inbox
from ..conf import NAME, conf
from ..db.times import utc_now
from ..exceptions import ConfigurationError
from ..models import Authorizer
from ..platforms import Platform
from ..protocol import xml
from ..protocol.envelope import DecryptedPush, decrypt_push, encrypt_push
from ..simulator import Simulator
from ..simulator.state.accounts import Account, Kind, new_account
from ..simulator.state.engine import Push
from ..text import TranslatableText as _


def first_platform() -> str:
    """The alias of the platform that the settings name first. ConfigurationError when there is none."""
    if not apps.is_installed("wechat_open"):
        raise ConfigurationError(_('Add "wechat_open" to INSTALLED_APPS of the settings that the tests use.'))
    if not conf.components:
        raise ConfigurationError(
            _(
                "%(setting)s of the settings that the tests use is empty: add a platform. Any credentials of the right "
                "form will do; WeChat is played by the simulator.",
                setting=f'{NAME}["COMPONENTS"]',
            )
        )
    return next(iter(conf.components))


def wechat_of(alias: str) -> Simulator:
    """A simulator with the credentials of this platform in the settings."""
    credentials = conf.component(alias)
    return Simulator(
        ticket_pusher=False,
        appid=credentials["APPID"],
        appsecret=credentials["APPSECRET"],
        token=credentials["TOKEN"],
        encoding_aes_key=credentials["ENCODING_AES_KEY"],
    )


def decrypted(platform: Platform, push: Push) -> DecryptedPush:
    """A push as a callback has it: encrypted as WeChat does it, and decrypted."""
    query, body = encrypt_push(
        xml.write(push.fields),
        platform.pairs[0],
        platform.appid,
        timestamp=str(int(time.time())),
        nonce=str(secrets.randbelow(10**10)),
        envelope={"ToUserName": push.user_name} if push.appid else {"AppId": platform.appid},
    )
    return decrypt_push(query, body, platform.pairs, platform.appid)


def give_ticket(platform: Platform, wechat: Simulator) -> None:
    """Store a verify ticket, with which the platform gets its component token when it needs one."""
    inbox.receive(platform, decrypted(platform, wechat.engine.new_ticket()))


def authorize(
    platform: Platform, wechat: Simulator, *, kind: Kind, appid: str = "", nick_name: str = "", **columns: Any
) -> Authorizer:
    """The row of an account whose owner has authorized the platform; ``columns`` replace its values."""
    # Each test has another appid: a cache that outlives the test has nothing about the accounts of later ones.
    appid = appid or f"wx{secrets.token_hex(8)}"
    account = _account(wechat, kind, appid, nick_name)
    engine = wechat.engine
    grant, token = engine.query_auth(engine.authorize(appid).code)[1:]
    now = utc_now()
    row = Authorizer(
        **{
            "component": platform.row,
            "appid": appid,
            "kind": kind,
            "nick_name": account.nick_name,
            "user_name": account.user_name,
            "principal_name": account.principal_name,
            "profile": account.info(),
            "profile_synced_at": now,
            "func_info": list(grant.permissions),
            "grant_epoch": 1,
            "grant_changed_at": now,
            "authorized_at": now,
            "access_token_obtained_at": now,
            "access_token_expires_at": now + timedelta(seconds=engine.settings.token_life),
            "next_action_at": now + timedelta(seconds=engine.settings.token_life * 3 / 4),
            **columns,
        }
    )
    row.access_token = row.encrypt("access_token", token.text)
    row.refresh_token = row.encrypt("refresh_token", grant.refresh_token)
    row.save()
    return row


def _account(wechat: Simulator, kind: Kind, appid: str, nick_name: str) -> Account:
    engine = wechat.engine
    with engine.lock:
        known = engine.accounts.get(appid)
        if known is None:
            known = engine.accounts[appid] = new_account(nick_name or "测试账号", kind, appid=appid)
        elif known.kind != kind:
            raise ValueError(f"{appid} is a{'n official account' if known.kind == 'official' else ' mini program'}.")
    return known
