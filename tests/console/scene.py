"""The console of a large platform, with data.

``fill`` writes a platform's life into the database: accounts in every state, pushes, links, the audit trail, and two
days of hourly counts. The same numbers make the same scene, apart from the time of day. Of very many rows most are made
of others by PostgreSQL itself.

``DATABASE_URL=postgres://…/console_100k python -m tests.console.scene`` empties that database and fills it; the
operator is ``admin`` with the password ``admin``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models

from wechat_open.conf import conf
from wechat_open.db.encryption import digest
from wechat_open.exceptions import Unreachable
from wechat_open.health import statistics
from wechat_open.models import (
    Alert,
    AuditEntry,
    AuthorizationAttempt,
    AuthorizationLink,
    Authorizer,
    BulkFailure,
    BulkJob,
    CodeExchange,
    Component,
    HourlyCount,
    Push,
    VerifyTicket,
    func_key,
    search_key,
)
from wechat_open.operations import registry
from wechat_open.protocol import permissions
from wechat_open.protocol.errcodes import error_for

CITIES = ["杭州", "成都", "苏州", "广州", "武汉", "西安", "青岛", "厦门", "长沙", "昆明", "南京", "大理"]
WORDS = ["山茶", "云起", "拾光", "小满", "半亩", "南风", "青禾", "松间", "有间", "鹿鸣", "知味", "望舒", "浮生", "清欢"]
TRADES = ["书店", "咖啡", "花店", "茶馆", "健身", "口腔", "烘焙", "民宿", "家政", "早教", "眼镜", "宠物医院", "餐厅"]
LATIN = ["Corner Shop", "Blue Teapot", "Nora's Bakery", "Harbour Books", "Tiger & Crane", "Camellia", "Moss and Stone"]
FIRMS = ["文化传播", "餐饮管理", "科技", "商贸", "健康咨询", "教育科技", "酒店管理"]

KINDS = [("official", 56), ("mini", 41), ("channels", 1), ("", 2)]
STATES = [("authorized", 930), ("unauthorized", 50), ("needs_reauthorization", 20)]
ERRORS = {
    61023: "refresh_token is invalid",
    61003: "component is not authorized by this account",
    48001: "api unauthorized",
    45009: "reach max api daily quota limit",
    -1: "system error",
}
REFRESH = "/cgi-bin/component/api_authorizer_token"
EXCHANGE = "/cgi-bin/component/api_query_auth"
EVENTS = ["authorized", "updateauthorized", "unauthorized", "component_verify_ticket", "notify_third_fasteregister"]


@dataclass
class Size:
    """How many rows of each sort."""

    accounts: int
    pushes: int
    links: int
    entries: int
    times: int = 1
    """How often: each row once as it is, and again under other names. Secrets of these open only as the first row's."""

    @classmethod
    def of(cls, accounts: int) -> Size:
        times = 20 if accounts >= 10_000 else 1
        accounts //= times
        return cls(accounts, pushes=accounts * 2, links=accounts // 5, entries=accounts * 3, times=times)


def pick(chance: random.Random, weighted: list[tuple[str, int]]) -> str:
    values, weights = zip(*weighted, strict=True)
    return str(chance.choices(values, weights)[0])


def hexes(*parts: object, length: int = 16) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:length]


def appid(number: int) -> str:
    return "wx" + hexes("account", number)


def write(model: type[models.Model], rows: Iterable[models.Model], times: int = 1, **others: str) -> None:
    """INSERT them; then ``times - 1`` copies of each, in which ``others`` (column=SQL) says what differs by ``n``."""
    model._default_manager.bulk_create(rows, batch_size=200)
    if times == 1:
        return
    table = model._meta.db_table
    names = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(others.get(name, f'"{name}"') for name in names)
    with connection.cursor() as cursor, without_indexes(cursor, table):
        cursor.execute(
            f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM "{table}", generate_series(1, {times - 1}) AS n'  # noqa: S608
        )


@contextmanager
def without_indexes(cursor: Any, table: str) -> Iterator[None]:
    """Created again afterwards, which takes a tenth of the time. Unique ones stay."""
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexdef NOT LIKE 'CREATE UNIQUE%%'",
        [table],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    yield
    for _, definition in indexes:
        cursor.execute(definition)


# How a row is copied, in PostgreSQL. An account and what is recorded about it get the same other appid.
OTHER_APPID = "CASE WHEN {0} = '' THEN '' ELSE 'wx' || substr(md5({0} || n), 1, 16) END"
OTHER_ROW = "{0} - {0} + (SELECT min(id) FROM {1}) + (id * 31 + n * 1999) % (SELECT count(*) FROM {1})"
OTHER_DIGEST = "md5({0} || n) || md5(n || {0})"
EARLIER = "{0} - interval '1 hour' * n * random()"


class Scene:
    def __init__(self, size: Size, seed: int = 7) -> None:
        self.size = size
        self.chance = random.Random(seed)
        self.now = datetime.now(timezone.utc).replace(microsecond=0)
        self.sets = self._sets()

    # -- values ------------------------------------------------------------------------------------------------------

    def before(self, **most: float) -> datetime:
        return self.now - timedelta(**most) * self.chance.random()

    def _sets(self) -> dict[str, list[list[int]]]:
        """Some dozens of sets of permissions for each kind; most accounts have one of a few."""
        sets: dict[str, list[list[int]]] = {"": [[]]}
        for kind, most in [("official", 30), ("mini", 40), ("channels", 3)]:
            known = [one.id for one in permissions.NAMES.values() if one.kind == kind]
            usual = known[: max(1, len(known) * 3 // 4)]
            sets[kind] = [usual]
            for _ in range(most):
                without = set(self.chance.sample(usual, min(len(usual) - 1, self.chance.randint(0, 4))))
                sets[kind].append(sorted({*usual, *self.chance.sample(known, len(known) // 8)} - without))
        return sets

    # -- rows --------------------------------------------------------------------------------------------------------

    def people(self) -> None:
        """They may be there already, and so may the platforms."""
        self.users = []
        for name in ["admin", "lina", "wangwei", "zhaomin", "olga"]:
            user, is_new = User.objects.get_or_create(username=name, defaults={"is_staff": True})
            if is_new:
                user.is_superuser = name == "admin"
                user.set_password(name)
                user.save()
            self.users.append(user)

    def platforms(self) -> None:
        now = self.now
        self.components = []
        for alias in conf.components:
            row, _ = Component.objects.get_or_create(appid=conf.component(alias)["APPID"])
            for name, value in {
                "access_token_obtained_at": now - timedelta(minutes=30),
                "access_token_expires_at": now + timedelta(minutes=90),
                "next_action_at": now + timedelta(minutes=60),
                "last_push_at": now - timedelta(minutes=3),
                "heartbeat_at": now - timedelta(seconds=20),
                "beat_at": now - timedelta(seconds=10),
                "push_started_at": now - timedelta(hours=9),
                "reconciled_at": now - timedelta(hours=5),
                "reconcile_due_at": now + timedelta(hours=19),
                "reconcile_repairs": 3,
                "skew_seconds": 0.4,
            }.items():
                setattr(row, name, value)
            row.access_token = row.encrypt("access_token", f"component-token-{alias}")
            row.save()
            self.components.append(row)
            for hours in range(24):
                ticket = VerifyTicket(
                    component=row,
                    digest=hexes("ticket", alias, hours, length=64),
                    created_at=now - timedelta(hours=hours, minutes=4),
                    received_at=now - timedelta(hours=hours, minutes=4),
                )
                ticket.ticket = ticket.encrypt("ticket", f"ticket@@@{hexes('ticket', hours, length=40)}")
                ticket.save()

    def owner(self) -> Component:
        """Nine of ten rows belong to the first platform."""
        return self.components[0] if self.chance.random() < 0.9 else self.components[-1]

    def name(self, number: int) -> str:
        one = self.chance.choice
        if number % 6 == 0:
            return f"{one(LATIN)} {number}"
        return f"{one(WORDS)}{one(TRADES)}{f'（{one(CITIES)}店）' if number % 3 else number}"

    def accounts(self) -> Iterator[Authorizer]:
        chance, now = self.chance, self.now
        for number in range(self.size.accounts):
            owner = self.owner()
            kind, state = pick(chance, KINDS), pick(chance, STATES)
            if number < len(STATES):  # there is one of each, however few they are
                state = STATES[number][0]
            at, name = now - timedelta(days=700) * chance.random() ** 2, self.name(number)
            principal = f"{chance.choice(CITIES)}{chance.choice(WORDS)}{chance.choice(FIRMS)}有限公司"
            sets = chance.choice(self.sets[kind][:3] if chance.random() < 0.8 else self.sets[kind])
            obtained = now - timedelta(minutes=100) * chance.random()
            row = Authorizer(
                component=owner,
                appid=appid(number),
                state=state,
                kind=kind,
                nick_name=name,
                name_key=search_key(name),
                principal_name=principal,
                principal_key=search_key(principal),
                user_name="gh_" + hexes("gh", number, length=12),
                alias=f"shop{number}" if number % 4 == 0 else "",
                head_img=f"https://wx.qlogo.cn/mmopen/{hexes('avatar', number)}/0" if number % 5 else "",
                signature="每天早上九点开门，欢迎来坐坐。" if number % 2 else "",
                service_type=chance.choice([0, 1, 2]) if kind == "official" else 0,
                verify_type=None if not kind else chance.choice([0, 0, 0, 0, -1]),
                account_status=1 if number % 400 else 14,
                profile={"nick_name": name, "principal_name": principal, "service_type_info": {"id": 2}},
                profile_synced_at=self.before(days=10),
                func_info=sets,
                func_key=func_key(sets),
                authorized_at=at,
                unauthorized_at=self.before(days=30) if state == "unauthorized" else None,
                grant_changed_at=at,
                grant_epoch=1,
                announced_epoch=1,
                announced_state=state,
                announced_func_info=sets,
            )
            if state != "unauthorized":
                row.access_token = row.encrypt("access_token", f"access-{hexes('access', number, length=100)}")
                row.refresh_token = row.encrypt(
                    "refresh_token", f"refreshtoken@@@{hexes('refresh', number, length=43)}"
                )
            if state == "authorized":
                row.access_token_obtained_at = obtained
                row.access_token_expires_at = obtained + timedelta(hours=2)
                row.next_action_at = obtained + timedelta(minutes=110)
                row.renewals = [(obtained - timedelta(minutes=110) * turn).isoformat() for turn in range(5)]
                self.trouble(row)
            elif state == "needs_reauthorization":
                self.fail(row, 61023)
                row.refused_since = row.last_failed_at
            yield row

    def trouble(self, row: Authorizer) -> None:
        """What goes wrong with one account of some hundreds."""
        lot = self.chance.random()
        if lot < 0.004:
            self.fail(row, self.chance.choice([45009, -1, 48001]))
        elif lot < 0.006:
            row.next_action_at = self.before(minutes=40)
        elif lot < 0.007:
            row.access_token_expires_at = row.next_action_at = self.before(minutes=90)
            self.fail(row, -1)
        elif lot < 0.009:
            row.needs_reconcile = True
        elif lot < 0.010:
            row.missing_since = self.before(days=2)

    def fail(self, row: Authorizer, errcode: int) -> None:
        row.failures = self.chance.randint(1, 9)
        row.last_errcode = errcode
        row.last_error = error_for(errcode, ERRORS[errcode], path=REFRESH).text
        row.last_rid = f"6a5b{hexes(row.appid, length=4)}-{hexes(row.appid, 'r', length=8)}"
        row.last_failed_at = self.before(hours=5)

    def pushes(self) -> Iterator[Push]:
        states = [("done", 9900), ("failed", 20), ("abandoned", 30), ("received", 5)]
        for number in range(self.size.pushes):
            state, info_type, at = pick(self.chance, states), self.chance.choice(EVENTS), self.before(days=30)
            failed = state in ("failed", "abandoned")
            about = appid(self.chance.randrange(max(1, self.size.accounts)))
            row = Push(
                component=self.owner(),
                digest=hexes("push", number, length=64),
                info_type=info_type,
                authorizer_appid="" if info_type == "component_verify_ticket" else about,
                created_at=at,
                received_at=at + timedelta(seconds=1),
                state=state,
                attempts=self.chance.randint(3, 9) if failed else 1,
                processed_at=None if state in ("received", "failed") else at + timedelta(seconds=2),
                next_attempt_at=self.now + timedelta(minutes=9) if state in ("received", "failed") else None,
                error=Unreachable(EXCHANGE, "HTTP 502").text if failed else "",
            )
            row.payload = row.encrypt("payload", self.plain(row, number))
            yield row

    def plain(self, row: Push, number: int) -> str:
        return (
            f"<xml><AppId>{row.component.appid}</AppId><CreateTime>1413192605</CreateTime>"
            f"<InfoType>{row.info_type}</InfoType><AuthorizerAppid>{row.authorizer_appid}</AuthorizerAppid>"
            f"<AuthorizationCode>queryauthcode@@@{number}</AuthorizationCode><PreAuthCode>preauth-{number}</PreAuthCode>"
            "</xml>"
        )

    def links(self, accounts: list[tuple[int, int]]) -> Iterator[AuthorizationLink]:
        """``accounts``: primary key and platform of some."""
        by_component = [[pk for pk, owner in accounts if owner == one.pk] for one in self.components]
        for number in range(self.size.links):
            owner = self.owner()
            key = f"link-key-{number}-{hexes('link', number, length=24)}"
            at = self.before(days=90)
            done = self.chance.random() < 0.7
            mine = by_component[self.components.index(owner)]
            row = AuthorizationLink(
                component=owner,
                key_digest=digest(key, "link"),
                user=self.chance.choice(self.users),
                payload={"tenant": number % 500, "plan": "standard"} if number % 3 else {},
                auth_type=self.chance.choice([1, 2, 3, 6]),
                biz_appid="" if number % 7 else appid(number),
                category_ids=[1, 7, 15] if number % 9 == 0 else [],
                created_at=at,
                expires_at=at + timedelta(days=3),
                completed_at=at + timedelta(minutes=20) if done else None,
                revoked_at=None if done or number % 11 else at + timedelta(hours=1),
                authorizer_id=mine[number % len(mine)] if done and mine else None,
            )
            row.key = row.encrypt("key", key)
            yield row

    def attempts(self, links: list[tuple[int, datetime, datetime | None]]) -> Iterator[AuthorizationAttempt]:
        """``links``: primary key, when it was made, and when it was used."""
        for number, (pk, at, done) in enumerate(links):
            for view in range(1 + number % 3):
                yield AuthorizationAttempt(
                    link_id=pk,
                    state_digest=hexes("state", pk, view, length=64),
                    browser_digest=hexes("browser", pk, length=64),
                    pre_auth_code_digest=hexes("pre", pk, view, length=64),
                    created_at=at + timedelta(minutes=view),
                    expires_at=at + timedelta(hours=1),
                    used_at=done if view == 0 else None,
                    user=self.chance.choice(self.users) if number % 4 == 0 else None,
                    device=self.chance.choice(["pc", "phone", "wechat", ""]),
                )

    def exchanges(self) -> Iterator[CodeExchange]:
        """Of attempts that an owner came back from."""
        used = AuthorizationAttempt.objects.filter(used_at__isnull=False).select_related("link").order_by("pk")
        for attempt in used[: self.size.links]:
            yield CodeExchange(
                component_id=attempt.link.component_id,
                digest=hexes("code", attempt.pk, length=64),
                link=attempt.link,
                attempt=attempt,
                returned_at=attempt.used_at,
                authorizer_id=attempt.link.authorizer_id,
                grant_epoch=1,
                fence=2,
                created_at=attempt.used_at,
                completed_at=attempt.used_at,
            )

    def entries(self) -> Iterator[AuditEntry]:
        kinds = [
            (kind, 20 if kind in ("authorized", "updated", "recovered") else 5)
            for kind in AuditEntry.Kind.values
            if kind != "code_misused"
        ]
        happens = {"authorized", "updated", "unauthorized", "needs_reauthorization", "renewal_failed", "recovered"}
        for number in range(self.size.entries):
            kind = pick(self.chance, kinds)
            about = self.chance.randrange(max(1, self.size.accounts))
            user = None if kind in happens else self.chance.choice(self.users)
            failed = kind == "renewal_failed" or (user is not None and number % 40 == 0)
            yield AuditEntry(
                at=self.before(days=120),
                component=self.owner(),
                kind=kind,
                appid="" if kind == "tickets_requested" else appid(about),
                name="" if kind == "tickets_requested" else f"{WORDS[about % len(WORDS)]}{TRADES[about % len(TRADES)]}",
                user=user,
                actor=user.username if user else "",
                ok=not failed,
                errcode=-1 if failed else None,
                rid=f"6a5b-{hexes(number, length=8)}" if failed else "",
                detail=error_for(-1, ERRORS[-1], path=REFRESH).text if failed else "",
            )

    def hours(self) -> Iterator[HourlyCount]:
        total = self.size.accounts * self.size.times
        usual = {"renewed": total // 2, "failed": 1 + total // 1000, "forced": 0, "pushes": 5 + total // 50}
        hour = self.now.replace(minute=0, second=0)
        for owner in self.components:
            for back in range(48):
                for what in HourlyCount.Counter.values:
                    share = self.chance.random()
                    if "failed" not in what:
                        share = 0.7 + 0.3 * share
                    elif back == 5:
                        share *= 6
                    if count := round(usual.get(what, 1) * share):
                        at = hour - timedelta(hours=back)
                        yield HourlyCount(component=owner, hour=at, counter=what, count=count)

    def rest(self) -> None:
        """Bulk actions, alerts, and the admin's own history."""
        names = dict(Authorizer.objects.order_by("pk").values_list("pk", "nick_name")[:1000])
        pks = list(names)
        for number, action in enumerate(registry.names() * 5):
            at = self.now - timedelta(hours=number * 7)
            done = len(pks) if number else len(pks) // 3
            job = BulkJob.objects.create(
                action=action,
                user=self.users[number % len(self.users)],
                actor=self.users[number % len(self.users)].username,
                targets=pks,
                total=len(pks),
                position=done,
                done=done - done // 50,
                failed=done // 50,
                created_at=at,
                finished_at=at + timedelta(minutes=4) if number else None,
            )
            BulkFailure.objects.bulk_create(
                BulkFailure(job=job, key=pk, name=names[pk], reason="-1", errcode=-1, rid="6a5b-1", message=ERRORS[-1])
                for pk in pks[: done // 50]
            )
        for number, code in enumerate(["ticket_age", "overdue", "needs_reauthorization", "renewals"] * 10):
            at = self.now - timedelta(hours=number * 9)
            resolved = None if number == 2 else at + timedelta(minutes=30)
            Alert.objects.create(
                component=self.components[0],
                alias="default",
                code=code,
                severity="warning" if number % 2 else "critical",
                first_seen_at=at,
                last_seen_at=at + timedelta(minutes=20),
                sent_at=at,
                count=number + 1,
                context={"message": ERRORS[-1], "hint": "", "value": 42, "page": ""},
                resolved_at=resolved,
                open_key=None if resolved else f"{self.components[0].pk}:{code}",
            )
        account = ContentType.objects.get_for_model(Authorizer)
        LogEntry.objects.bulk_create(
            LogEntry(
                user=self.users[0],
                content_type=account,
                object_id=str(pk),
                object_repr=names[pk],
                action_flag=CHANGE,
                change_message="令牌已刷新。",
            )
            for pk in pks
        )

    def write(self) -> None:
        times = self.size.times
        self.people()
        self.platforms()
        appid, user_name = OTHER_APPID.format("appid"), "'gh_' || substr(md5(user_name || n), 1, 12)"
        write(Authorizer, self.accounts(), times, appid=appid, user_name=user_name)
        about, at = OTHER_APPID.format("authorizer_appid"), EARLIER.format("received_at")
        write(Push, self.pushes(), times, digest=OTHER_DIGEST.format("digest"), authorizer_appid=about, received_at=at)
        accounts = Authorizer.objects.order_by("pk").values_list("pk", "component_id")
        links = self.links(list(accounts[: max(1, self.size.links)]))
        others = {"key_digest": OTHER_DIGEST.format("key_digest"), "biz_appid": OTHER_APPID.format("biz_appid")}
        others["authorizer_id"] = OTHER_ROW.format("authorizer_id", Authorizer._meta.db_table)
        write(AuthorizationLink, links, times, **others)
        made = AuthorizationLink.objects.order_by("pk").values_list("pk", "created_at", "completed_at")
        others = {"state_digest": OTHER_DIGEST.format("state_digest")}
        others["link_id"] = OTHER_ROW.format("link_id", AuthorizationLink._meta.db_table)
        write(AuthorizationAttempt, self.attempts(list(made[: self.size.links])), times, **others)
        others = {"digest": OTHER_DIGEST.format("digest")}
        others["attempt_id"] = OTHER_ROW.format("attempt_id", AuthorizationAttempt._meta.db_table)
        others["link_id"] = OTHER_ROW.format("link_id", AuthorizationLink._meta.db_table)
        write(CodeExchange, self.exchanges(), times, **others)
        write(AuditEntry, self.entries(), times, appid=appid, at=EARLIER.format("at"))
        write(HourlyCount, self.hours())
        self.rest()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        for owner in self.components:
            statistics.update(owner)


def fill(size: Size) -> Scene:
    """Into empty tables."""
    scene = Scene(size)
    scene.write()
    return scene


def empty() -> None:
    """As if it were new: its tables may be those of yesterday's models."""
    name = connection.settings_dict["NAME"]
    if connection.vendor != "postgresql" or not name.startswith("console"):
        raise SystemExit(f"Only a PostgreSQL database whose name begins with “console” is emptied, and not {name}.")
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def main() -> None:
    from django.core.management import call_command

    arguments = argparse.ArgumentParser(prog="python -m tests.console.scene", description="Fill DATABASE_URL.")
    arguments.add_argument("--accounts", type=int, default=100_000)
    accounts: int = arguments.parse_args().accounts
    empty()
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    fill(Size.of(accounts))
    print(f"{accounts} accounts and what belongs to them in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
