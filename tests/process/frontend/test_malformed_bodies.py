"""A short form of `scripts/fuzz_bodies`: malformed bodies for every endpoint of a real server, beside other streams."""

import asyncio
import random
from itertools import islice

import msgspec
import pytest
from msgspec import inspect

from frontend.routes import ROUTES
from scripts.fuzzing.cases import cases
from scripts.fuzzing.fuzz import Result, fuzz_with_witnesses
from scripts.fuzzing.malformed import SPOILERS, Verdict
from scripts.fuzzing.samples import Samples
from tests.support.running_server import StartServer, start_server

__all__ = ["start_server"]

pytestmark = pytest.mark.process

ADMIN_KEY = "fuzzing"
NUM_BODIES = 300
MAX_PAUSE_S = 20.0  # the machine may be busy with other tests


def test_malformed_bodies_are_refused_and_harm_nobody(start_server: StartServer) -> None:
    models = ("fake:generate", "fake:score", "fake:embed")
    server = start_server(*models, "--max-model-len", "512", "--max-body-bytes", "4194304", "--admin-key", ADMIN_KEY)
    result = Result()
    bodies = cases(7, NUM_BODIES)
    witnesses = asyncio.run(fuzz_with_witnesses(server.url, bodies, ADMIN_KEY, 4, 2, result))
    assert result.num_sent == NUM_BODIES
    assert result.faults == []
    assert witnesses.wrong == []
    assert witnesses.num_right > 0
    assert witnesses.longest_pause_s < MAX_PAUSE_S


def test_every_endpoint_gets_every_kind_of_body() -> None:
    found = list(islice(cases(1, 4000), 4000))
    assert {case.path for case in found} == {path for route in ROUTES if route.body is not None for path in route.paths}
    assert len({case.spoilt.kind for case in found}) == len(set(SPOILERS))
    assert all(case.spoilt.verdict is Verdict.REFUSED for case in found if case.path.startswith("/admin"))


def test_the_same_seed_gives_the_same_cases() -> None:
    assert list(cases(3, 50)) == list(cases(3, 50))
    assert list(cases(3, 50)) != list(cases(4, 50))


def test_samples_fit_their_types() -> None:

    for route in ROUTES:
        if route.body is not None:
            for seed in range(20):
                body = Samples(random.Random(seed), 0.3).body(inspect.type_info(route.body))
                msgspec.convert(body, route.body)
