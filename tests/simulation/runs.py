"""Many simulated runs, on all processors, and what they came to.

    python -m tests.simulation --seeds 1000

plays seeds 0 to 999 in each of WeChat's three modes and prints one line for each mode. A seed that breaks an invariant
is named with what it broke; ``--seed N --mode strict`` plays it again, step by step the same. ``--safeguards`` and
``--crashes`` look at the machine itself, and at every single step of what a process does.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import product
from multiprocessing.pool import Pool

from .figures import Figures

BATCH = 10
"""Seeds that a process plays before it reports."""

MODES = ["strict", "grace", "stable"]

SEEDS_OF_A_MEASURE = 2
"""Of eight hours each."""


def play(mode: str, seeds: Iterable[int], chaos: str = "storm") -> Figures:
    """Play these seeds in this process."""
    from .wechat import Rotation
    from .world import CHAOS, World

    total = Figures()
    started = time.process_time()
    for seed in seeds:
        total.add(World(seed, Rotation(mode), CHAOS[chaos]).play())
    total.processor = time.process_time() - started
    return total


def trace(mode: str, seed: int, chaos: str = "storm") -> str:
    """A digest of everything that a run does: each statement, with its time and its process."""
    from .wechat import Rotation
    from .world import CHAOS, World

    world = World(seed, Rotation(mode), CHAOS[chaos])
    digest, before = hashlib.sha256(), world.tables.before

    def traced(statement: str) -> None:
        digest.update(f"{world.scheduler.now} {world.scheduler.running} {statement}\n".encode())
        before(statement)

    world.tables.before = traced
    world.play()
    return digest.hexdigest()


def prepare() -> None:
    """Django without a database: rows are in memory."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    logging.disable(logging.CRITICAL)
    gc.freeze()  # what was imported is never garbage


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--mode", action="append", choices=MODES, help="default: all three")
    parser.add_argument("--chaos", default="storm", help="what goes wrong: a name in world.CHAOS (default: storm)")
    parser.add_argument("--safeguards", action="store_true", help="with each one switched off, a seed must fail")
    parser.add_argument("--crashes", action="store_true", help="kill one process at every step of each operation")
    parser.add_argument("--availability", action="store_true", help="how many readers get a token that works")
    parser.add_argument("--trace", action="store_true", help="print a digest of all that one seed does")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per processor)")
    options = parser.parse_args(argv)
    prepare()
    if options.trace:
        print(trace((options.mode or MODES)[0], options.seed or 0, options.chaos))
        return 0
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(options.jobs, prepare) as pool:
        if options.safeguards:
            well = without_safeguards(pool)
        elif options.crashes:
            well = crashes(pool)
        elif options.availability:
            well = availability(pool)
        else:
            seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
            well = whole_runs(pool, seeds, options.mode or MODES, options.chaos)
    print(f"{time.monotonic() - started:.0f} seconds")
    return 0 if well else 1


def whole_runs(pool: Pool, seeds: Sequence[int], modes: Sequence[str], chaos: str) -> bool:
    """Play all seeds, mode by mode, and print the figures; whether nothing was broken."""
    batches = [list(seeds[at : at + BATCH]) for at in range(0, len(seeds), BATCH)]
    whole = Figures()
    for mode in modes:
        started, total = time.monotonic(), Figures()
        for figures in pool.imap_unordered(_play, [(mode, batch, chaos) for batch in batches]):
            total.add(figures)
        print(f"{mode:7} {total.line()}; {_times(total, started)}", flush=True)
        for seed, words in sorted(total.broken.items()):
            print(f"  seed {seed}: {'; '.join(words[:3])}", flush=True)
        whole.add(total)
    return not whole.broken


def _times(figures: Figures, started: float) -> str:
    each = figures.processor / figures.runs if figures.runs else 0.0
    return f"{time.monotonic() - started:.0f} seconds, {each:.2f} of a processor for each run"


def without_safeguards(pool: Pool) -> bool:
    """Switch each safeguard off and look for a seed that fails; whether every one is missed."""
    from .safeguards import SAFEGUARDS

    well = True
    for name, found in pool.imap(found_without, SAFEGUARDS):
        print(f"without {name}: " + (f"seed {found[0]} fails: {found[1]}" if found else "NO seed fails"), flush=True)
        well = well and found is not None
    return well


def crashes(pool: Pool) -> bool:
    """Kill the process at every step of each operation, in each mode, and of a renewal two; whether all is repaired."""
    from .crashes import OPERATIONS

    work = [(operation, mode, False) for operation in OPERATIONS for mode in MODES]
    work += [("renewal", mode, True) for mode in MODES]
    well = True
    for operation, mode, kills, broken in pool.imap(_crash, work):
        print(f"{operation}, {mode}: killed {kills} times, {len(broken)} broken", flush=True)
        for steps, words in broken.items():
            print(f"  before step {steps}: {'; '.join(words[:3])}")
        well = well and not broken
    return well


def availability(pool: Pool) -> bool:
    """Measure how many readers get a token that works; whether each share is as high as it must be."""
    from .availability import MEASURES

    well = True
    for name, reads, unavailable, reasons in pool.imap(_measure, MEASURES):
        share = 1 - unavailable / reads
        print(f"{name:24} {share:.4%} of {reads} readers")
        for reason in reasons:
            print(f"  {reason}")
        well = well and share >= MEASURES[name].least
    return well


def _measure(name: str) -> tuple[str, int, int, list[str]]:
    from .availability import measure

    return measure(name, SEEDS_OF_A_MEASURE)


def _play(work: tuple[str, list[int], str]) -> Figures:
    return play(*work)


def found_without(name: str) -> tuple[str, tuple[int, str] | None]:
    """The first seed that fails without this safeguard, and only without it, and what it breaks."""
    from .safeguards import SAFEGUARDS, switched_off

    guard = SAFEGUARDS[name]
    for seed in guard.seeds:
        with switched_off(name):
            broken = play("strict", [seed], guard.chaos).broken
        if broken and not play("strict", [seed], guard.chaos).broken:
            return name, (seed, broken[seed][0])
    return name, None


def _crash(work: tuple[str, str, bool]) -> tuple[str, str, int, dict[tuple[int, ...], list[str]]]:
    from .crashes import play as play_crash
    from .crashes import steps_of
    from .wechat import Rotation

    operation, mode, pairs = work
    steps = range(1, steps_of(operation, Rotation(mode)) + 1)
    kills = list(product(steps, repeat=2 if pairs else 1))
    broken = {at: found for at in kills if (found := play_crash(operation, Rotation(mode), at).violations)}
    return operation + (", two processes" if pairs else ""), mode, len(kills), broken


if __name__ == "__main__":
    sys.exit(main())
