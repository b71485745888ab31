"""One case after the other: a route of the table, a good body for it, and a way to spoil that."""

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

from msgspec import inspect

from frontend.route import Kind, Route
from frontend.routes import ROUTES
from scripts.fuzzing.malformed import SPOILERS, Spoilt, Verdict
from scripts.fuzzing.samples import Samples

CHANCES = (0.0, 0.02, 0.05, 0.1, 0.3)  # of an optional field to be in the body


@dataclass(frozen=True)
class Case:
    """`number` and the seed make it again."""

    number: int
    path: str
    statuses: tuple[int, ...]  # that the route says it answers with
    spoilt: Spoilt


def cases(seed: int, count: int) -> Iterator[Case]:
    """The same ones for the same seed. What is not surely refused never goes to the operator's routes."""
    targets = [(path, route) for route in ROUTES if route.body is not None for path in route.paths]
    types = {path: inspect.type_info(route.body) for path, route in targets}
    for number in range(count):
        source = random.Random(f"{seed} {number}")
        path, route = source.choice(targets)
        body = Samples(source, source.choice(CHANCES)).body(types[path]) or {"user": "me"}
        yield Case(number, path, route.statuses, _spoilt(route, body, source))


def _spoilt(route: Route, body: dict[str, object], source: random.Random) -> Spoilt:
    while True:
        spoilt = source.choice(SPOILERS)(deepcopy(body), source)
        if route.kind is not Kind.ADMIN or spoilt.verdict is Verdict.REFUSED:
            return spoilt
