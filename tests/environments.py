"""Time and jitter that a test controls, and workers that it kills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from wechat_open.environment import ENVIRONMENT, Environment
from wechat_open.platforms import Platform
from wechat_open.ports import TIMING, Timing

_T = TypeVar("_T")


class FakeTime:
    """Time that passes only in sleep; every sleep is remembered, and ``meanwhile`` happens in it."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.meanwhile = meanwhile
        self.timing = Timing(lambda: self.now, self.sleep, lambda: 0.5)
        self.environment = Environment(timing=self.timing)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self.meanwhile()


def in_environment(platform: Platform, environment: Environment) -> Platform:
    """The same platform, in another environment."""
    return replace(platform, environment=environment)


class Killed(BaseException):
    """The process was killed. No code of ours catches it."""


@dataclass
class Worker:
    """Counts its steps into the outside world. Before step ``kill_at`` it dies; before ``pause_at`` something happens.

    A dead worker takes no further step, so nothing that a ``finally`` would tidy up is tidied up.
    """

    kill_at: int = 0
    pause_at: int = 0
    meanwhile: Callable[[], object] = lambda: None
    steps: list[str] = field(default_factory=list)
    dead: bool = False

    def step(self, name: str) -> None:
        if not self.dead:
            self.steps.append(name)
            self.dead = len(self.steps) == self.kill_at
        if self.dead:
            raise Killed(self.steps[-1])
        if len(self.steps) == self.pause_at:
            self.meanwhile()


class _Port:
    """A store or another port, each call of which is a step of the worker."""

    def __init__(self, name: str, port: Any, worker: Worker) -> None:
        self._name, self._port, self._worker = name, port, worker

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            self._worker.step(f"{self._name}.{name}")
            return value(*args, **kwargs)

        return call


class MortalEnvironment(Environment):
    """The site's own environment, in which a worker can be killed between any two steps."""

    def __init__(self, worker: Worker) -> None:
        timing = Timing(sleep=_Port("time", TIMING, worker).sleep)
        cache, audit = (_Port(name, getattr(ENVIRONMENT, name), worker) for name in ("cache", "audit"))
        super().__init__(timing=timing, cache=cache, audit=audit)  # type: ignore[arg-type]  # they stand for any port
        for name in [name for name in dir(Environment) if name.endswith("_store") or name == "wechat"]:
            object.__setattr__(
                self, name, partial(self._mortal, name.removesuffix("_store"), worker, getattr(self, name))
            )

    @staticmethod
    def _mortal(name: str, worker: Worker, make: Callable[..., Any], *component: Any) -> Any:
        return _Port(name, make(*component), worker)

    def outside_atomic(self, work: Callable[[], _T]) -> _T:
        return work()
