"""How the server comes up: processes first, then models, then memory for them, all within one deadline."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from ipc.control_messages import WeightSegments
from ipc.errors import StartupError
from ipc.fake_card import FAKE_SOURCES, fake_card
from ipc.model_card import ModelCard
from zerolane import gpu_pools
from zerolane.byte_sizes import parse_bytes
from zerolane.children import Role, adopt_orphans
from zerolane.house import House
from zerolane.memory_layout import with_kv_pages
from zerolane.readiness import missing
from zerolane.seats import Seat, SeatState
from zerolane.worker_places import worker_places


def start_processes(house: House) -> None:
    """All at once: the fork server imports torch while the loader loads. A server of fake models needs no loader."""
    house.take_memory()
    adopt_orphans()
    seats = [house.seats.add(Role.FRONTEND, i) for i in range(house.config.frontends)]
    seats += [house.seats.add(Role.SCHEDULER), house.seats.add(Role.FORKSERVER)]
    if house.real_specs:
        seats.append(house.seats.add(Role.LOADER))
    seats += _worker_seats(house)
    for seat in seats:
        try:
            house.spawn(seat)
        except OSError as error:
            message = f"Cannot start the {seat.name} process: {error.strerror}."
            raise StartupError(message, "See the limits of processes and open files (ulimit -a).") from error


def _worker_seats(house: House) -> list[Seat]:
    seats: list[Seat] = []
    for place in worker_places(house.config):
        seats.append(house.add_worker_seat())
        seats[-1].pool, seats[-1].phases = place
    return seats + [house.add_worker_seat(is_spare=True) for _ in range(house.config.spares)]


def load_models(house: House, deadline: float) -> list[ModelCard]:
    """Every model's card, its weights in sealed segments. Raises StartupError."""
    real: list[ModelCard] = []
    if house.real_specs:
        loader = house.seats.of(Role.LOADER)[0]
        _wait(house, deadline, lambda: house.inspected is not None, "reading the models' configurations")
        cards = _placed(house, house.inspected or [])
        _say_weight_segments(house, loader, cards)
        _wait(house, deadline, lambda: house.loaded is not None, "loading the models' weights")
        house.memory.seal_weights()
        real = _placed(house, house.loaded or [])
    house.progress_bar.end()
    return _all_cards(house, real)


def lay_out_memory(house: House, cards: list[ModelCard]) -> list[ModelCard]:
    """The cards with their KV pages; the memory of every pool is taken now. Raises StartupError."""
    config = house.config
    complete = with_kv_pages(cards, config, parse_bytes(config.kv_cache_memory) // config.pools)
    on_host = [card for card in complete if card.device == "cpu"]
    for pool in house.pools.numbers:
        house.memory.make_pool(pool, on_host)
    if on_host != complete:
        gpu_pools.seat_keepers(house)
    return complete


def wait_until_serving(house: House, deadline: float) -> None:
    """Every process serves. Raises StartupError that names who does not."""
    _wait(house, deadline, lambda: _is_serving(house), "starting")


def _is_serving(house: House) -> bool:
    wanted = [seat for seat in house.seats if seat.role is not Role.LOADER]
    return not missing(house) and all(seat.state is SeatState.READY for seat in wanted)


def _say_weight_segments(house: House, loader: Seat, cards: list[ModelCard]) -> None:
    fds = house.memory.make_weights(cards)
    if loader.child is not None:
        loader.child.send(WeightSegments(), fds)


def _placed(house: House, cards: list[ModelCard]) -> list[ModelCard]:
    """The loader counts its own models; a card's index is its place among all of ours."""
    places = [i for i, spec in enumerate(house.specs) if spec.source not in FAKE_SOURCES]
    if len(cards) != len(places):
        raise StartupError(f"The loader answered for {len(cards)} models instead of {len(places)}.")
    return [replace(card, index=place) for card, place in zip(cards, places, strict=True)]


def _all_cards(house: House, real: list[ModelCard]) -> list[ModelCard]:
    config, now = house.config, int(time.time())
    cards = {card.index: card if card.created else replace(card, created=now) for card in real}
    for i, spec in enumerate(house.specs):
        if spec.source in FAKE_SOURCES:
            cards[i] = fake_card(i, spec.name, spec.source, config.max_model_len, config.block_size, now)
    return [cards[i] for i in range(len(house.specs))]


def _wait(house: House, deadline: float, condition: Callable[[], bool], doing: str) -> None:
    if house.loop.run_until(condition, deadline):
        return
    late = [seat.name for seat in house.seats if seat.state is not SeatState.READY]
    raise StartupError(
        f"The server was still {doing} after {house.config.startup_timeout:g} s; not ready: {', '.join(late)}.",
        "If it only needs longer (a download, a slow disk), give more --startup-timeout; else see the lines above.",
    )
