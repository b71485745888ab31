"""One line every few seconds about how far the soak is."""

import asyncio
import sys
import time
from typing import TextIO

from scripts.chaos_testing.soak import Soak

EVERY_S = 5.0


async def show_progress(soak: Soak, stream: TextIO = sys.stderr) -> None:
    """Runs for ever; cancel it."""
    began = time.perf_counter()
    while True:
        await asyncio.sleep(EVERY_S)
        print(f"{time.perf_counter() - began:6.0f} s: {line(soak)}", file=stream, flush=True)


def line(soak: Soak) -> str:
    """The state now."""
    if soak.load is None:
        return "starting"
    attempts = soak.load.attempts
    ended = [attempt for attempt in attempts if attempt.ended is not None]
    parts = [f"{len(ended)} requests ended"]
    parts.append(f"{sum(bool(one.failure) and not one.is_excused for one in ended)} failed")
    if soak.faults is None:
        return ", ".join(["undisturbed", *parts])
    if soak.findings.reference is not None:
        different = soak.findings.reference.differences(ended)
        parts.append(f"{len(different)} different")
    done = [f"{len(soak.faults.struck)} of {soak.options.kills} faults"] if soak.options.kills else []
    if soak.scaling is not None and soak.scaling.changes:
        done.append(f"{len(soak.scaling.changes)} scale commands")
    return ", ".join([*done, *parts])
