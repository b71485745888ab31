"""What a test may not leave behind: descriptors, mappings of memory segments, child processes."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SETTLE_S = 2.0  # ZeroMQ's thread and the kernel may finish closing a little later


@dataclass(frozen=True)
class Held:
    """What this process holds now, each as a sentence for the failure."""

    things: frozenset[str]


def held() -> Held:
    """Look at /proc/self."""
    return Held(frozenset([*_descriptors(), *_segment_mappings(), *_children()]))


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fail with a sentence when the block leaves something behind that was not there before it."""
    before = held()
    yield
    deadline = time.monotonic() + SETTLE_S
    while left := _left(before):
        if time.monotonic() > deadline:
            raise AssertionError(f"the test left behind: {'; '.join(sorted(left))}")
        time.sleep(0.005)  # nothing tells when a thread of libzmq has closed its last descriptor


def _left(before: Held) -> frozenset[str]:
    left = held().things - before.things
    if left:
        gc.collect()  # views in reference cycles keep their segment mapped
        left = held().things - before.things
    return left


def _descriptors() -> Iterator[str]:
    for entry in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:
            continue  # the listing's own descriptor
        if not target.startswith("/proc/"):
            yield f"descriptor {entry} ({target})"


def _segment_mappings() -> Iterator[str]:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/memfd:" in line:
            yield f"mapping {line.split(maxsplit=5)[0]} of {line.split(maxsplit=5)[5]}"


def _children() -> Iterator[str]:
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            yield f"child process {pid}"
