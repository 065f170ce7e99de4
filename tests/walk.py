"""One walk through the whole app, in a process of its own, for a site with given settings.

``python -m tests.walk`` lives in ``tests.walk_settings`` (or in DJANGO_SETTINGS_MODULE), makes its databases and
removes them. A ticket, a grant through a link, a renewal, a message, an event, the health report, operations, every
page of the admin: what came of each is printed as JSON, and an error ends the walk. A test can call ``walk()`` too.

``WALK_LACKS=unix`` removes what Python does not have on Windows.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import unquote

NOT_ON_WINDOWS = {
    "os": (
        "chown chroot confstr ctermid fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid"
        " getpgrp getpriority getresuid getsid getuid initgroups killpg lchown mkfifo mknod nice openpty pread pwrite"
        " register_at_fork sched_getaffinity sched_yield sendfile setegid seteuid setgid setgroups setpgid setsid"
        " setuid statvfs sync sysconf uname wait wait3 wait4 O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW"
        " O_NONBLOCK O_SYNC"
    ),
    "signal": (
        "SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGPROF SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1"
        " SIGUSR2 SIGWINCH alarm pause pthread_kill pthread_sigmask setitimer getitimer sigpending siginterrupt sigwait"
    ),
    "socket": "AF_UNIX socketpair send_fds recv_fds MSG_DONTWAIT SO_REUSEPORT",
    "select": "poll epoll",
    "time": "tzset clock_gettime",
    "mmap": "MAP_SHARED MAP_PRIVATE MAP_ANON PROT_READ PROT_WRITE",
}
MODULES_NOT_ON_WINDOWS = ["fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"]


def remove_what_windows_lacks() -> None:
    """After others' packages were imported: on Windows these have branches of their own."""
    for name in ("asyncio", "celery", "celery.app.amqp", "django.test", "lmdb", "multiprocessing", "redis", "requests"):
        importlib.import_module(name)
    for module, names in NOT_ON_WINDOWS.items():
        for name in names.split():
            vars(importlib.import_module(module)).pop(name, None)
    for name in MODULES_NOT_ON_WINDOWS:
        sys.modules[name] = None  # type: ignore[assignment]  # so Python says that there is none


def import_every_module() -> int:
    import wechat_open

    names = [found.name for found in pkgutil.walk_packages(wechat_open.__path__, "wechat_open.")]
    for name in names:
        try:
            if not name.endswith("__main__"):
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Extras stand in contrib; one that is not installed here is no fault of this site.
            if not name.startswith("wechat_open.contrib.") or str(error.name).startswith("wechat_open"):
                raise
    return len(names)


def walk() -> dict[str, Any]:
    """What came of each step. Anything that fails raises."""
    from django.conf import settings
    from django.test import override_settings

    from wechat_open.testing.accounts import wechat_of

    with wechat_of("default") as wechat:
        here = dict.fromkeys(("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL"), wechat.url)
        with override_settings(WECHAT_OPEN={**settings.WECHAT_OPEN, **here, "RENEWAL_THREADS": 1}):
            return _walk(wechat)


def _walk(wechat: Any) -> dict[str, Any]:
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.urls import reverse

    from tests import pushes
    from wechat_open import api, authorization, health, inbox, platforms, tokens
    from wechat_open.messaging import on_event, on_message
    from wechat_open.models import Authorizer, Push, VerifyTicket
    from wechat_open.protocol import xml
    from wechat_open.simulator import DEMO_OFFICIAL
    from wechat_open.testing.follower import Direct, Follower

    done: dict[str, Any] = {}
    client = Client()
    platform = platforms.get()

    def push(fields: dict[str, str]) -> None:
        answer = pushes.post(client, pushes.EVENTS, pushes.push_request(xml.write(fields)))
        assert (answer.status_code, answer.content) == (200, b"success"), (answer.status_code, answer.content)
        inbox.process_due()

    push(wechat.engine.new_ticket().fields)
    done["tickets"] = VerifyTicket.objects.count()

    operator = get_user_model()._default_manager.create_superuser("operator", "o@example.com", "operator")
    client.force_login(operator)
    link = authorization.begin(user=operator, payload={"shop": 7})
    page = client.get(link.get_absolute_url())
    code = re.search(r"pre_auth_code=([^&\"]+)", page.content.decode())
    assert page.status_code == 200 and code is not None, page.content[:500]
    outcome = wechat.engine.authorize(DEMO_OFFICIAL, pre_auth_code=unquote(code[1]))
    push(outcome.push.fields)
    account = Authorizer.objects.select_related("component").get(appid=DEMO_OFFICIAL)
    done["grant"] = [account.state, account.granted_through_id == link.pk]
    failed = Push.objects.exclude(state=Push.State.DONE).first()
    assert failed is None, failed and failed.error

    before = account.access_token_expires_at
    Authorizer.objects.update(next_action_at="2000-01-01T00:00:00Z")
    tokens.run_due(platform)
    account.refresh_from_db()
    done["renewed"] = account.access_token_expires_at > before and not account.failures
    done["call"] = bool(api.authorizer(account).get("/cgi-bin/user/get"))

    on_message("text")(lambda message: f"you said {message.content}")
    heard: list[Any] = []
    on_event("subscribe")(lambda message: heard.append(message.created_at.utcoffset()))
    follower = Follower(account, wechat, Direct(platform), "")
    done["message"] = follower.writes("你好").text
    follower.does("subscribe")
    done["event"] = len(heard)

    report = health.report()
    done["red"] = [each["code"] for each in report["components"][0]["checks"] if each["level"] == "red"]
    done["last_push_at"] = report["components"][0]["last_push_at"]
    answer = client.get(reverse("wechat_open:health"))
    done["health"] = answer.status_code

    done["operations"] = _operate(client, account)
    done["pages"] = _pages(client)
    return done


def _operate(client: Any, account: Any) -> list[str]:
    """Actions of the admin's lists, on one account; what the console says about each."""
    from django.contrib.messages import get_messages
    from django.urls import reverse

    from wechat_open.models import AuditEntry, BulkJob
    from wechat_open.operations import jobs
    from wechat_open.operations.accounts import Sync

    said = []
    address = reverse("admin:wechat_open_authorizer_changelist")
    for action in ("refresh", "sync", "reconcile", "ask"):
        answer = client.post(address, {"action": action, "_selected_action": [account.pk], "index": 0}, follow=True)
        said.append(" ".join(str(message) for message in get_messages(answer.wsgi_request)))
        assert answer.status_code == 200 and "action" not in said[-1], (action, answer.status_code, said)
    job = jobs.start(Sync(), [account.pk], user=answer.wsgi_request.user)
    jobs.run_open()
    job.refresh_from_db()
    assert (job.done, job.failed) == (1, 0), job.failures
    assert BulkJob.objects.filter(pk=job.pk, finished_at__isnull=False).exists()
    assert AuditEntry.objects.filter(user_id=answer.wsgi_request.user.pk).exists()
    return said


def _pages(client: Any) -> int:
    """Every list with its filters, orders and a search, and every page of every row."""
    from tests.console import pages

    seen = 0
    for model in pages.lists():
        for address in pages.list_addresses(client, model, ["wx"], most=3):
            answer = client.get(address, follow=True)
            assert answer.status_code == 200, (address, answer.status_code)
            seen += 1
    for route in pages.routes():
        row = route.model._default_manager.first() if route.needs_row or route.name.endswith("_old") else None
        if row is None and (route.needs_row or route.name.endswith("_old")):
            continue
        answer = client.get(route.address(row), follow=True)
        if answer.streaming:
            b"".join(answer.streaming_content)
        assert answer.status_code in (200, 403, 405), (route.name, answer.status_code)
        seen += 1
    return seen


@contextmanager
def _databases() -> Iterator[None]:
    from django.test.utils import setup_databases, setup_test_environment, teardown_databases, teardown_test_environment

    setup_test_environment()
    config = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(config, verbosity=0)
        teardown_test_environment()


@contextmanager
def _replica_that_nobody_reads() -> Iterator[None]:
    """Not even one that would find the same rows: the replica is behind."""
    from django.db import connections

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        assert "wechat_open_" not in sql, f"read from the replica: {sql}"
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        if "replica" in connections:
            stack.enter_context(connections["replica"].execute_wrapper(refuse))
        yield


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.walk_settings")
    if os.environ.get("WALK_LACKS") == "unix":
        remove_what_windows_lacks()
    django.setup()
    import tests.celery_app  # noqa: F401 - must exist before a task is sent

    modules = import_every_module()
    with _databases(), _replica_that_nobody_reads():
        print(json.dumps({"modules": modules, **walk()}))


if __name__ == "__main__":
    main()
