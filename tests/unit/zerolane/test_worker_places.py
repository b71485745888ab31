"""Which pool and phases each worker of the start has."""

import pytest

from ipc.config import ServeConfig
from ipc.errors import StartupError
from zerolane.worker_places import WorkerPlace, worker_places


def test_workers_take_turns_over_the_pools() -> None:
    places = worker_places(ServeConfig(workers=5, pools=2))
    assert places == [WorkerPlace(pool, "both") for pool in (0, 1, 0, 1, 0)]


def test_phases_share_one_pool() -> None:
    places = worker_places(ServeConfig(prefill_workers=1, decode_workers=2))
    assert places == [WorkerPlace(0, "prefill"), WorkerPlace(0, "decode"), WorkerPlace(0, "decode")]


def test_prefill_has_the_first_pool_for_itself_where_there_are_more() -> None:
    places = worker_places(ServeConfig(prefill_workers=2, decode_workers=3, pools=3))
    assert [place.pool for place in places] == [0, 0, 1, 2, 1]


@pytest.mark.parametrize("config", [ServeConfig(prefill_workers=1), ServeConfig(decode_workers=1)])
def test_one_phase_alone_is_refused(config: ServeConfig) -> None:
    with pytest.raises(StartupError) as caught:
        worker_places(config)
    assert "--prefill-workers and --decode-workers" in caught.value.advice
