"""A doorbell is readable while rung, however often, and never blocks."""

import os
import select

from ipc.doorbell import Doorbell


def _rung(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_rung_until_cleared() -> None:
    bell = Doorbell.create()
    assert not _rung(bell)
    bell.ring()
    bell.ring()
    assert _rung(bell)
    bell.clear()
    assert not _rung(bell)
    bell.clear()
    bell.close()
    bell.close()


def test_both_ends_of_a_passed_descriptor_are_the_same_bell() -> None:
    bell = Doorbell.create()
    other = Doorbell(os.dup(bell.fileno()))
    other.ring()
    assert _rung(bell)
    bell.clear()
    assert not _rung(other)
    bell.close()
    other.close()


def test_a_full_counter_does_not_block() -> None:
    bell = Doorbell.create()
    os.eventfd_write(bell.fileno(), (1 << 64) - 2)
    bell.ring()
    assert _rung(bell)
    bell.close()
