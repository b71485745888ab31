"""What stands in a step's block: every row its own stream's, also where a step repeats the one before it."""

from collections.abc import Callable

import numpy as np

from ipc.messages import SamplingParams
from scheduler.worker_peer import GenerateFlight
from tests.support.engine_in_process import Engine

MakeEngine = Callable[..., Engine]
OF_A_STREAM = ("temperature", "top_p", "min_p", "top_k", "seed", "num_prompt", "num_logprobs", "serial", "rules_id")


def test_rows_are_those_of_the_streams_in_their_slots(make_engine: MakeEngine) -> None:
    """Short streams follow one another in the slots beside a long one: steps of one shape, of other slots."""
    engine = make_engine(max_num_seqs=4)
    engine.submit(0, [1], 60, ignore_eos=True, sampling=SamplingParams(temperature=0.5, seed=1000))
    for stream_id in range(1, 12):
        sampling = SamplingParams(temperature=float(stream_id), seed=stream_id, top_k=stream_id)
        engine.submit(stream_id, [stream_id], 1 + stream_id % 4, ignore_eos=True, sampling=sampling)
    seen: set[int] = set()
    repeated = 0
    while not engine.is_idle or engine.router.incoming:
        engine.turn()
        flights = [flight for flight in engine.workers[0].peer.flights if isinstance(flight, GenerateFlight)]
        for flight in flights:
            columns, slots = flight.columns, flight.slots
            assert (columns.slot == slots).all()
            for name in OF_A_STREAM:
                assert (getattr(columns, name) == getattr(engine.ledger, name)[slots]).all(), name
            assert (columns.num_new == flight.num_new).all()
            seen.update(columns.seed.tolist())
        if len(flights) == 2:
            repeated += np.array_equal(flights[0].slots, flights[1].slots)
        engine.workers[0].work()
    assert seen == {1000, *range(1, 12)}
    assert repeated > 10
