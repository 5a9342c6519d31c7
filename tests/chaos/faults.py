"""What is done to an installation, and how long it takes until all is well again."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from endangered import Installation
from outages import filled

FULL_SECONDS = 4.0
STORE_SECONDS = 4.0
CLOCK_SECONDS = 3.0
PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.05
JUMPS = ["+7200", "-7200", "+40d", "-3d"]


@dataclass(frozen=True)
class Recovery:
    fault: str
    at: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.fault:<22} well again after {self.seconds:5.2f} s"


@dataclass
class Faults:
    """One after the other, in an order and with pauses that the dice choose; every fault comes once in each round."""

    installation: Installation
    dice: random.Random
    recoveries: list[Recovery] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def round(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        chosen: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("worker killed", self._kill_worker),
            ("API killed", lambda: self._kill("API")),
            ("PostgreSQL killed", lambda: self._kill("PostgreSQL")),
            ("Temporal killed", lambda: self._kill("Temporal")),
            ("store answers 500", self._store_errors),
            ("store stalls", self._store_stalls),
        ]
        if self.installation.disk is not None:
            chosen.append(("disk full", self._disk_full))
        if self.installation.second.library is not None:
            chosen.append(("clock jumps", self._clock_jumps))
        self.dice.shuffle(chosen)
        return chosen

    async def go_on_until(self, end: float, longest_pause: float) -> None:
        """Whole rounds, at least one. `end` is a time of time.monotonic()."""
        while True:
            for name, fault in self.round():
                await asyncio.sleep(self.dice.uniform(0, longest_pause))
                await self.strike(name, fault)
            if time.monotonic() >= end:
                return

    async def strike(self, name: str, fault: Callable[[], Awaitable[None]]) -> None:
        """Do it, and wait until all is well again. Measured from the kill, or from when the fault itself was over."""
        at = time.monotonic() - self.began
        self._over_at = time.monotonic()
        await fault()
        await self._until(self._is_ready)
        self.installation.second.keep()
        recovery = Recovery(name, at, time.monotonic() - self._over_at)
        self.recoveries.append(recovery)
        print(recovery, flush=True)

    async def _kill(self, part: str) -> None:
        killed = self.installation.pid_of(part)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await self._until(lambda: self._is_another(part, killed))

    async def _kill_worker(self) -> None:
        ready = self.installation.workers_ready()
        await self._kill("worker")
        await self._until(lambda: self._says_ready(ready))

    async def _disk_full(self) -> None:
        assert self.installation.disk is not None
        with filled(self.installation.disk):
            await asyncio.sleep(FULL_SECONDS)
        self._over_at = time.monotonic()

    async def _store_errors(self) -> None:
        self.installation.gateway.answers_with = (500, "InternalError")
        await self._store_is_ill()

    async def _store_stalls(self) -> None:
        self.installation.gateway.answers_nothing = True
        await self._store_is_ill()

    async def _store_is_ill(self) -> None:
        await asyncio.sleep(STORE_SECONDS)
        self.installation.gateway.is_well_again()
        self._over_at = time.monotonic()

    async def _clock_jumps(self) -> None:
        self.installation.second.set_clock(self.dice.choice(JUMPS))
        await asyncio.sleep(CLOCK_SECONDS)
        self.installation.second.set_clock("+0")
        self._over_at = time.monotonic()

    async def _until(self, state: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await state():
                await asyncio.sleep(LOOK_SECONDS)

    async def _is_another(self, part: str, killed: int) -> bool:
        return self.installation.pid_of(part) not in {None, killed}

    async def _says_ready(self, before: int) -> bool:
        return self.installation.workers_ready() > before

    async def _is_ready(self) -> bool:
        """As a load balancer asks: database, Temporal and store answer."""
        async with httpx.AsyncClient(base_url=self.installation.url, timeout=10) as http:
            try:
                return (await http.get("/ready")).is_success
            except httpx.TransportError:
                return False
