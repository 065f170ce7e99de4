"""Owners of accounts, who authorize and cancel, and strangers who have found a code.

An owner authorizes on WeChat's own page, or through a link of one of the site's tenants, to which the browser then
comes back: once, twice, late, or never. An owner may have second thoughts, and authorize through the link of another
tenant while the first authorization is still under way; and two owners may have the page of one link before them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from wechat_open import authorization
from wechat_open.authorization.pages import Offer
from wechat_open.models import AuthorizationLink
from wechat_open.secret import Secret

from .tenants import Confirmed

if TYPE_CHECKING:
    from .world import SimulatedProcess, World


class Owners:
    """What they do in one simulated run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.random
        self._newest_link: AuthorizationLink | None = None
        self._used: set[str] = set()
        """Pre-auth codes; WeChat takes each once."""

    def authorizes(self, appid: str) -> None:
        world = self.world
        process = world.any_process("web")
        if process is not None and self.random.random() < world.chaos.links:
            world.scheduler.start(process, lambda: world.guarded(lambda: self._through_link(process, appid)))
        else:
            self.confirms(appid)
        if world.chance(world.chaos.second_thoughts):
            soon = self.random.choice([self.random.uniform(0.3, 30), self.random.uniform(30, 600)])
            world.scheduler.after(soon, lambda: self.authorizes(appid))

    def changes(self, appid: str) -> None:
        """Cancels, and perhaps authorizes again in a moment; or changes the permission sets."""
        world = self.world
        if not world.stormy:
            return
        world.scheduler.after(self.random.expovariate(1 / 3600), lambda: self.changes(appid))
        if self.random.random() < world.chaos.cancellations and world.wechat.account(appid).grant is not None:
            world.wechat.unauthorize(appid)
            world.monitor.look(appid)
            world.push("unauthorized", AuthorizerAppid=appid)
            if self.random.random() < 0.7:
                again = self.random.choice([self.random.uniform(0.3, 30), self.random.uniform(60, 1800)])
                world.scheduler.after(again, lambda: self.authorizes(appid))
        else:
            self.authorizes(appid)

    def confirms(self, appid: str, link: int | None = None, **fields: str) -> str:
        """WeChat has the grant, and pushes its code."""
        world = self.world
        known = world.wechat.account(appid).grant is not None
        code = self.grants(appid, link)
        world.push(
            "updateauthorized" if known else "authorized",
            AuthorizerAppid=appid,
            AuthorizationCode=code,
            AuthorizationCodeExpiredTime=str(int(world.wechat_time()) + 3600),
            **fields,
        )
        return code

    def grants(self, appid: str, link: int | None = None) -> str:
        """WeChat has the grant, and pushes nothing; its code."""
        world = self.world
        code, granted_at = world.wechat.authorize(appid)
        grant = world.wechat.account(appid).grant
        assert grant is not None
        world.tenants.confirm(Confirmed(appid, grant.number, code, granted_at, link))
        world.monitor.look(appid)
        return code

    # -- through a link ------------------------------------------------------------------------------------------------

    def _through_link(self, process: SimulatedProcess, appid: str) -> None:
        link = self._link(process)
        page, pre_auth_code = self._open(process, link, appid)
        theft = self._open_page_of_a_thief(process)
        self.world.scheduler.pause(process, self.random.uniform(1, 120))
        if pre_auth_code in self._used:
            return
        self._used.add(pre_auth_code)
        code = self.confirms(appid, link.pk, PreAuthCode=pre_auth_code)
        if theft is not None:
            self._present(theft, code, self.random.choice([self.random.uniform(0.01, 2), self.random.uniform(2, 1200)]))
        if self.world.chance(self.world.chaos.closed_browsers):
            return
        late = self.random.uniform(2, 900) if self.world.chance(self.world.chaos.late_pushes) else 0.0
        self._come_back(page, code, late + self.random.uniform(0.1, 2))
        if self.random.random() < 0.3:  # the owner reloads the page
            self._come_back(page, code, late + self.random.uniform(1, 60))

    def _link(self, process: SimulatedProcess) -> AuthorizationLink:
        """A new one of any tenant, or the newest, which another owner may have used."""
        if self._newest_link is None or not self.world.chance(self.world.chaos.shared_links):
            tenant = self.random.choice("abc")
            self._newest_link = authorization.begin(payload={"tenant": tenant}, component=process.platform)
        return self._newest_link

    def _open(self, process: SimulatedProcess, link: AuthorizationLink, browser: str) -> tuple[Offer, str]:
        page = authorization.offer(link, browser=browser, base_url="https://site", platform=process.platform)
        return page, parse_qs(urlsplit(page.pc_url).query)["pre_auth_code"][0]

    def _come_back(self, page: Offer, code: str, seconds: float) -> None:
        def complete(web: SimulatedProcess) -> None:
            authorization.complete_redirect(page.attempt, Secret(code), web.platform)
            self.world.tenants.returned.add(code)

        self._in_browser(complete, seconds)

    def _open_page_of_a_thief(self, process: SimulatedProcess) -> Offer | None:
        if not self.world.chance(self.world.chaos.thefts):
            return None
        link = authorization.begin(payload={"tenant": "thief"}, component=process.platform)
        return self._open(process, link, "browser of a thief")[0]

    def _present(self, page: Offer, code: str, seconds: float) -> None:
        """Bring a code that was given to another page: it was in a log, or in the history of a browser."""

        def complete(web: SimulatedProcess) -> None:
            self.world.tenants.steal(code, page.attempt.link_id)
            authorization.complete_redirect(page.attempt, Secret(code), web.platform)

        self._in_browser(complete, seconds)

    def _in_browser(self, work: Callable[[SimulatedProcess], None], seconds: float) -> None:
        world = self.world

        def begin() -> None:
            web = world.any_process("web")
            if web is not None:
                world.scheduler.start(web, lambda: world.guarded(lambda: work(web)))

        world.scheduler.after(seconds, begin)
