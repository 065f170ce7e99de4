"""The test accounts with which WeChat checks a release."""

from __future__ import annotations

from dataclasses import dataclass

from ..state.accounts import Kind
from ..state.engine import Engine


@dataclass(frozen=True)
class TestAccount:
    """An account of WeChat, which authorizes the platform by itself when a release is checked."""

    __test__ = False  # no test case, pytest

    appid: str
    user_name: str
    kind: Kind


@dataclass(frozen=True)
class Group:
    """The two accounts of a check. WeChat selects one of five groups at random."""

    number: int
    official: TestAccount
    mini: TestAccount

    @property
    def accounts(self) -> tuple[TestAccount, TestAccount]:
        return self.official, self.mini


def _group(number: int, official: tuple[str, str], mini: tuple[str, str]) -> Group:
    return Group(number, TestAccount(*official, "official"), TestAccount(*mini, "mini"))


GROUPS = {
    group.number: group
    for group in (
        _group(1, ("wx570bc396a51b8ff8", "gh_3c884a361561"), ("wxd101a85aa106f53e", "gh_8dad206e9538")),
        _group(2, ("wx9252c5e0bb1836fc", "gh_c0f28a78b318"), ("wxc39235c15087f6f3", "gh_905ae9d01059")),
        _group(3, ("wx8e1097c5bc82cde9", "gh_3f222ed8d140"), ("wx7720d01d4b2a4500", "gh_393666f1fdf4")),
        _group(4, ("wx14550af28c71a144", "gh_26128078e9ab"), ("wx05d483572dcd5d8b", "gh_39abb5d4e1b7")),
        _group(5, ("wxa35b9c23cfe664eb", "gh_2b3713f184a6"), ("wx5910277cae6fd970", "gh_7818dcb60240")),
    )
}


def add_accounts(engine: Engine, group: Group) -> None:
    """Add the group's accounts. Raises ValueError, and adds none, when one exists already."""
    with engine.lock:
        for account in group.accounts:
            if account.appid in engine.accounts:
                raise ValueError(f"There is an account {account.appid} already: it is WeChat's for the release check.")
        for account in group.accounts:
            name = "全网发布检测公众号" if account.kind == "official" else "全网发布检测小程序"
            engine.add_account(name, account.kind, appid=account.appid, user_name=account.user_name)
