"""Leases over host memory and over fake CUDA, in random orders of granting, releasing, killing and ending.

The same machine runs on both: what holds for one must hold for the other, or code tried without a GPU proves nothing.
"""

import os
from typing import ClassVar, Protocol

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipc.device_memory.fake_cuda import FakeCudaOpener, FakeCudaPool, fake_uuid
from ipc.device_memory.fake_rule_page import ProcessId
from ipc.device_memory.host import HostOpener, HostPool
from ipc.device_memory.interface import MemoryHandle, PoolMemory, PoolOpener, RuleBroken
from ipc.device_memory.leases import Lease, LeasedPools, Leases, PoolInUse, StaleLease
from tests.support.leaks import nothing_left_behind

SIZE = 4096
NUM_HOLDERS = 3


class User:
    """One life of a process that uses the pool."""

    def __init__(self, opener: PoolOpener[memoryview], epoch: int) -> None:
        self.opener = opener
        self.pools = LeasedPools(opener)
        self.epoch = epoch
        self.used: list[tuple[MemoryHandle, Lease]] = []


class BackEnd(Protocol):
    """Processes of one kind of memory, played in this one."""

    def pool(self) -> PoolMemory[memoryview]: ...
    def opener(self, instance: int) -> PoolOpener[memoryview]: ...
    def kill_owner(self, pool: PoolMemory[memoryview]) -> None: ...
    def kill_user(self, user: User) -> None: ...


class Host:
    def pool(self) -> HostPool:
        return HostPool(SIZE)

    def opener(self, instance: int) -> HostOpener:
        return HostOpener()

    def kill_owner(self, pool: PoolMemory[memoryview]) -> None:
        pool.free()

    def kill_user(self, user: User) -> None:
        for handle in {handle for handle, _ in user.used}:
            user.opener.close(handle)


class FakeCuda:
    def __init__(self) -> None:
        self._num_processes = 0

    def pool(self) -> FakeCudaPool:
        self._num_processes += 1
        return FakeCudaPool(SIZE, fake_uuid(0), ProcessId.own(1000 + self._num_processes))

    def opener(self, instance: int) -> FakeCudaOpener:
        return FakeCudaOpener(fake_uuid(0), ProcessId.own(instance))

    def kill_owner(self, pool: PoolMemory[memoryview]) -> None:
        assert isinstance(pool, FakeCudaPool)
        pool.die()

    def kill_user(self, user: User) -> None:
        assert isinstance(user.opener, FakeCudaOpener)
        user.opener.die()


class LeaseMachine(RuleBasedStateMachine):
    """An owner that comes and goes, users that come and go, and the one who keeps the leases."""

    kind: ClassVar[type[Host] | type[FakeCuda]] = Host

    @initialize()
    def begin(self) -> None:
        self.leak_check = nothing_left_behind()
        self.leak_check.__enter__()
        self.back_end: BackEnd = self.kind()
        self.leases = Leases()
        self.num_generations = 0
        self.num_lives = 0
        self.users: list[User] = [self._user() for _ in range(NUM_HOLDERS)]
        self.owner: PoolMemory[memoryview] | None = None
        self.handle: MemoryHandle | None = None
        self.written: dict[int, int] = {}  # offset -> byte, of this generation

    def _user(self) -> User:
        self.num_lives += 1
        return User(self.back_end.opener(self.num_lives), self.num_lives)

    @rule()
    def start_owner(self) -> None:
        """The owner starts as soon as nothing of the one before is used."""
        if self.owner is not None or self.leases.num_leases:
            return
        self.num_generations += 1
        self.owner = self.back_end.pool()
        self.handle = self.owner.export(self.num_generations)
        self.leases.begin(self.handle)
        self.written = {}

    @rule(who=st.integers(0, NUM_HOLDERS - 1), offset=st.integers(0, SIZE - 1), byte=st.integers(0, 255))
    def grant(self, who: int, offset: int, byte: int) -> None:
        user = self.users[who]
        try:
            lease = self.leases.grant(who, user.epoch, offset, 1)
        except StaleLease:
            assert self.owner is None
            return
        assert self.owner is not None
        assert self.handle is not None
        is_first = not user.used
        fds = tuple(os.dup(fd) for fd in self.owner.descriptors) if is_first else ()
        buffer = user.pools.use(self.handle, lease, fds)
        user.used.append((self.handle, lease))
        assert buffer[offset] == self.written.get(offset, 0)
        buffer[offset] = self.written[offset] = byte

    @rule(who=st.integers(0, NUM_HOLDERS - 1), which=st.integers(0, 20))
    def release(self, who: int, which: int) -> None:
        user = self.users[who]
        if user.used:
            handle, lease = user.used.pop(which % len(user.used))
            user.pools.done(handle, lease)
            self.leases.release(lease)

    @rule(who=st.integers(0, NUM_HOLDERS - 1))
    def kill_user(self, who: int) -> None:
        user = self.users[who]
        self.back_end.kill_user(user)
        assert self.leases.sweep(who, user.epoch) == len(user.used)
        self.users[who] = self._user()

    @precondition(lambda self: self.owner is not None)
    @rule()
    def kill_owner(self) -> None:
        assert self.owner is not None
        self.back_end.kill_owner(self.owner)
        self.leases.lose()
        self.owner = self.handle = None

    @precondition(lambda self: self.owner is not None)
    @rule()
    def end_owner(self) -> None:
        assert self.owner is not None
        try:
            self.leases.end()
        except PoolInUse:
            assert any(user.used for user in self.users)
            self._freeing_now_breaks_a_rule()
            return
        self.owner.free()
        self.owner = self.handle = None

    def _freeing_now_breaks_a_rule(self) -> None:
        """What the leases refuse is what the device forbids, as far as it can see it."""
        if isinstance(self.owner, FakeCudaPool):
            try:
                self.owner.free()
            except RuleBroken:
                return
            raise AssertionError("the leases refused what was allowed")

    @precondition(lambda self: self.owner is not None)
    @rule()
    def export_again(self) -> None:
        assert self.owner is not None
        try:
            self.owner.export(self.num_generations + 1)
        except RuleBroken:
            return
        raise AssertionError("a pool was exported twice")

    @invariant()
    def counts_agree(self) -> None:
        assert self.leases.num_leases == sum(len(user.used) for user in self.users)

    def teardown(self) -> None:
        if not hasattr(self, "users"):
            return
        for user in self.users:
            self.back_end.kill_user(user)
        if self.owner is not None:
            self.owner.free()
        self.leak_check.__exit__(None, None, None)


class HostMachine(LeaseMachine):
    kind = Host


class FakeCudaMachine(LeaseMachine):
    kind = FakeCuda


_SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestHost = HostMachine.TestCase
TestHost.settings = _SETTINGS
TestFakeCuda = FakeCudaMachine.TestCase
TestFakeCuda.settings = _SETTINGS
