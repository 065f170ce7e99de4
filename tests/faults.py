"""The table of faults in ``docs/faults.rst``, written from the tests that prove what is said there.

A test names the faults that it proves: ``@pytest.mark.fault("F14")``, on a function, on a class, or as the module's
``pytestmark``. ``python -m tests.faults`` writes the table, with ``--check`` it only says whether it is right. The
tests are read, not imported: nothing has to be installed or running.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = CHECKOUT / "docs" / "faults.rst"
BEGIN = ".. What follows is written by `python -m tests.faults`.\n"


class Fault(NamedTuple):
    what: str
    outcome: str
    """What happens, and within what time."""


class Proof(NamedTuple):
    """A test, and a fault that it proves."""

    fault: str
    file: str
    test: str


RECOVERY_ORDER = (
    "within 75 seconds another worker tries the stored refresh token, then the one before it, then WeChat's record and"
    " list of accounts, and stores what WeChat takes."
)

SECTIONS: dict[str, dict[str, Fault]] = {
    "Processes": {
        "F1": Fault(
            "A worker is killed after it has taken the lease of an account.",
            "No call was made. The lease ends after a minute, and another worker renews the account.",
        ),
        "F2": Fault(
            "A worker is killed when it is about to call WeChat.",
            "The same: no call was made, and another worker renews the account after a minute.",
        ),
        "F3": Fault(
            "A worker is killed after WeChat was called, before the answer was read.",
            f"WeChat may have replaced the refresh token: {RECOVERY_ORDER}",
        ),
        "F4": Fault(
            "A worker is killed after the answer was read, before the new tokens were stored.",
            f"WeChat has replaced the refresh token: {RECOVERY_ORDER}",
        ),
        "F5": Fault(
            "A worker is killed after the new tokens were stored, before they were cached.",
            "Nothing is lost. A process that still has the old access token is refused once, and goes on with the new"
            " one.",
        ),
        "F6": Fault(
            "A worker is killed after the new tokens were cached.",
            "Nothing is lost. The next worker takes over the rest of the accounts within a minute.",
        ),
        "F7": Fault(
            "A process is killed between the storing of a push and the answer to WeChat.",
            "WeChat pushes again, which changes nothing. The stored push is processed once in effect, by a worker,"
            " within a minute.",
        ),
        "F8": Fault(
            "A process is killed between the exchange of an authorization code and the storing of its tokens.",
            "The account is whole within two minutes, from WeChat's record, and reaches its tenant with the push. Where"
            " only the browser brought the code, the hourly comparison keeps the account, for no tenant.",
        ),
        "F9": Fault(
            "A worker stands still for 90 seconds during a renewal, and goes on afterwards.",
            "Another worker renews the account when the lease has ended. The late one does not write over newer tokens;"
            " what it has still done at WeChat is repaired within 75 seconds.",
        ),
        "F10": Fault(
            "A deployment sends SIGTERM to the workers while they renew.",
            "Each finishes the account that it has begun and ends. The new workers renew the others at once.",
        ),
        "F11": Fault(
            "All workers are killed at the same moment, for want of memory.",
            "The new workers repair and renew everything within 75 seconds.",
        ),
        "F12": Fault(
            "Celery's beat is dead for an hour.",
            "Each ticket that WeChat pushes, every ten minutes, wakes a worker, and callers renew what is about to end."
            " No token ends. Health is red, and says that beat sends no tasks.",
        ),
        "F13": Fault(
            "Two beats are running.",
            "Each account is renewed once: one worker has the lease of the renewals.",
        ),
    },
    "Redis": {
        "F14": Fault(
            "Redis is down for 15 minutes.",
            "Tokens come from the database, renewals and callbacks go on. Redis is tried every few seconds, and is used"
            " again when it answers.",
        ),
        "F15": Fault(
            "Redis loses everything.",
            "Tokens come from the database and are cached again. No call to WeChat is made for it.",
        ),
        "F16": Fault(
            "Redis answers after half a second.",
            "Each use waits for it, with the timeouts that the README names. Tokens are right, and a callback is"
            " answered within WeChat's five seconds.",
        ),
        "F17": Fault(
            "Redis takes connections and never answers.",
            "The first use costs a second, and then it is left alone for a while. A callback is answered in time, a"
            " task that could not be sent is made up for by the periodic ones.",
        ),
        "F18": Fault(
            "Redis fails over to a replica that has older tokens.",
            "WeChat refuses the older token once; the stored one is used and cached. Nothing is renewed for it.",
        ),
        "F19": Fault(
            "Redis is full and refuses to write.",
            "It is a cache that is down: tokens come from the database, renewals and callbacks go on.",
        ),
    },
    "Database": {
        "F20": Fault(
            "The database is down for 15 minutes.",
            "Cached tokens are used until they end. Callbacks answer 503, so that WeChat pushes again. No renewal"
            " begins. Afterwards what was due is renewed at once.",
        ),
        "F21": Fault(
            "The database goes away during a renewal, before the new tokens are stored.",
            "The write is repeated for 15 seconds. After that the answer is lost, and what WeChat has on record repairs"
            " the account as after F4.",
        ),
        "F22": Fault(
            "The new tokens were stored, and the connection broke before the database could say so.",
            "The row is read, and the tokens are found in it. Nothing is repeated.",
        ),
        "F23": Fault(
            "The database reports a deadlock or a serialization error.",
            "The write of new tokens is repeated. Elsewhere an error asks for another try, and nothing is half done.",
        ),
        "F24": Fault(
            "The database fails over and loses the last five seconds.",
            "Refresh tokens that were lost are found at WeChat with the next renewal, accounts whose pushes were lost"
            " with the next hourly comparison.",
        ),
        "F25": Fault(
            "The database is restored from a backup of yesterday.",
            "The first comparison with WeChat's list repairs every account: new ones, cancelled ones and those whose"
            " refresh token was replaced. No owner has to authorize again.",
        ),
        "F26": Fault(
            "All rows are lost.",
            "With the next ticket, which comes within ten minutes, the platform works again, and the comparison brings"
            " back every account.",
        ),
    },
    "WeChat": {
        "F27": Fault(
            "WeChat has replaced a refresh token, and its answer does not arrive in time.",
            f"No second call is made while the first may still be running. Then {RECOVERY_ORDER}",
        ),
        "F28": Fault(
            "WeChat answers 5xx for half an hour.",
            "Renewals pause; one account at a time tries again, at least every 90 seconds. A token is due 24 minutes or"
            " more before its end, so that 20 minutes end none. Two minutes after WeChat answers again everything is"
            " renewed.",
        ),
        "F29": Fault(
            "WeChat answers with HTML, garbage, half an answer or one byte at a time.",
            "The call ends at its deadline, counts as one without an answer and is repeated later. No stored token"
            " changes.",
        ),
        "F30": Fault(
            "WeChat answers -1 (system busy) to everything.",
            "Renewals back off and pause. No account is blamed; two minutes after the end everything is renewed.",
        ),
        "F31": Fault(
            "WeChat refuses with 45009: the quota is used up.",
            "If it is one account's, that account alone backs off. If it is the platform's, renewals pause and one call"
            " in 90 seconds at least finds out when it is over.",
        ),
        "F32": Fault(
            "WeChat refuses every account with 61003 (not authorized) or 61023 (invalid refresh token).",
            "No account changes its state and no token is deleted: so many at once are an incident of WeChat. Two"
            " minutes after its end all are renewed.",
        ),
        "F33": Fault(
            "Another system uses the same component and invalidates its token every 30 seconds.",
            "The token is replaced at most once a minute, so that the quota lasts.",
        ),
        "F34": Fault(
            "WeChat pushes no ticket for 6 and for 11 hours.",
            "Pushing is requested after half an hour and then every ten minutes, and health is red. The newest ticket"
            " renews the component's token for twelve hours; no token ends.",
        ),
        "F35": Fault(
            "The list of accounts cannot be read.",
            "Renewals go on, and a lost refresh token is found in the account's record. The comparison is repeated"
            " after ten minutes; half a list changes no account.",
        ),
        "F36": Fault(
            "WeChat's answers have an empty refresh token.",
            "It never replaces one that is stored. What is missing in one answer is looked for in the others.",
        ),
        "F41": Fault(
            "One of several hosts loses its way to WeChat, and to nothing else.",
            "What it could not send, it gives back untried. After three calls without an answer it leaves renewals to"
            " the other hosts, and tries one account, at least once a minute. No token ends. Health names the host.",
        ),
    },
    "Pushes and clocks": {
        "F37": Fault(
            "Pushes come three times, in another order, ten minutes late.",
            "The newest state by WeChat's own times is the one that is kept, whatever comes when. Each push has its"
            " effect once.",
        ),
        "F38": Fault(
            "An authorization and a cancellation are of the same second.",
            "Their order is not guessed: WeChat is asked within a minute, and its answer is kept.",
        ),
        "F39": Fault(
            "The clock of a host jumps by an hour.",
            "Nothing: leases, ends of tokens and the window for pushes are of the database's clock.",
        ),
        "F40": Fault(
            "Redis and the database are down for ten minutes.",
            "A process goes on with the tokens that it has used, from its own memory, until they end. Callbacks answer"
            " 503, so that WeChat pushes again.",
        ),
    },
}

FAULTS = {number: fault for section in SECTIONS.values() for number, fault in section.items()}


class UnknownFault(Exception):
    """A test names a fault that is not in the table, or none."""


def proofs(folder: Path = CHECKOUT / "tests") -> list[Proof]:
    """What the tests say that they prove, in the order of files and lines."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        file = path.relative_to(folder.parent).as_posix()
        found += [Proof(fault, file, test) for test, fault in _marked(ast.parse(path.read_text("utf-8")), file)]
    return found


def _marked(module: ast.Module, file: str) -> Iterator[tuple[str, str]]:
    """Each test of the module with each of its faults."""
    of_all = [
        mark
        for node in module.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["pytestmark"]
        for mark in (node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value])
    ]
    yield from _tests_in(module, list(_faults(of_all, file)), file)


def _tests_in(parent: ast.AST, inherited: list[str], file: str) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            yield from _tests_in(node, [*inherited, *_faults(node.decorator_list, file)], file)
        elif isinstance(node, ast.FunctionDef):
            if node.name.startswith("test_"):
                for fault in dict.fromkeys([*inherited, *_faults(node.decorator_list, file)]):
                    yield node.name, fault
        else:  # such as an `if` around tests of some databases
            yield from _tests_in(node, inherited, file)


def _faults(marks: Iterable[ast.expr], file: str) -> Iterator[str]:
    for mark in marks:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
            named = [argument.value if isinstance(argument, ast.Constant) else None for argument in mark.args]
            if not named or not set(named) <= set(FAULTS):
                raise UnknownFault(f"{file}:{mark.lineno}: {ast.unparse(mark)}")
            yield from (str(name) for name in named)


def table() -> str:
    """The part of the page that is written from the tests."""
    by_fault: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for proof in proofs():
        by_fault[proof.fault][proof.file].append(proof.test)
    return "".join(_section(title, faults, by_fault) for title, faults in SECTIONS.items())


def _section(title: str, faults: dict[str, Fault], by_fault: dict[str, dict[str, list[str]]]) -> str:
    lines = ["", title, "-" * len(title), "", ".. list-table::", "   :header-rows: 1", "   :widths: 5 25 35 35", ""]
    lines += ["   * -", "     - Fault", "     - What happens", "     - Tests"]
    for number, fault in faults.items():
        lines += [f"   * - {number}", f"     - {fault.what}", f"     - {fault.outcome}"]
        lines += [f"     - {_tests(by_fault[number])[0]}", *(f"       {line}" for line in _tests(by_fault[number])[1:])]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _tests(by_file: dict[str, list[str]]) -> list[str]:
    lines = []
    for file, names in by_file.items():
        lines += [f"``{file}``:", *(f"``{name}``," for name in names)]
        lines[-1] = lines[-1].rstrip(",") + "."
    return lines or ["None yet."]


def page() -> str:
    """The page as it should be: what a person has written, and the table."""
    return PAGE.read_text("utf-8").partition(BEGIN)[0] + BEGIN + table()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Write the table of docs/faults.rst.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the table is outdated")
    options = parser.parse_args(argv)
    right = page()
    if options.check:
        if PAGE.read_text("utf-8") != right:
            print("docs/faults.rst is outdated: run `python -m tests.faults`")
            return 1
    else:
        PAGE.write_text(right, "utf-8")
    proven = {proof.fault for proof in proofs()}
    print(f"{len(proven)} of {len(FAULTS)} faults have a test.", *(number for number in FAULTS if number not in proven))
    return 0


if __name__ == "__main__":
    sys.exit(main())
