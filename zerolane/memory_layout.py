"""How memory is divided: the KV pages of each model, the arena of the steps. Pure rules; `memory.py` takes the memory.

All memory is taken at start and none while serving, so a server that has started does not run out of it.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from ipc.config import ServeConfig
from ipc.errors import StartupError
from ipc.kv_layout import page_bytes
from ipc.memory_available import memory_available
from ipc.model_card import ModelCard
from ipc.step_layout import largest_generate_step, step_bytes
from ipc.token_rules import ARENA_BYTES as RULES_BYTES
from zerolane.byte_sizes import format_bytes
from zerolane.worker_places import worker_places

_LARGEST_STEPS = 4  # of them must fit: two in flight, each in a block of up to twice its size
_ROOM_PER_WORKER = 4 << 20  # bytes; most steps are far below the largest
_SMALLEST_ARENA = 64 << 20
_ASSUMED_MODEL_LEN = 131_072  # tokens; the arena is made before the models are known
_LEFT_FREE = 256 << 20  # bytes left for the processes themselves


def arena_bytes(config: ServeConfig) -> int:
    """Size of the step arena: the largest possible steps of one worker, room for those of the others, and the streams'
    token rules.

    A spare has none before it is a worker.
    """
    width = -(-(config.max_model_len or _ASSUMED_MODEL_LEN) // config.block_size)
    wanted = _LARGEST_STEPS * _largest_step(config, width) + len(worker_places(config)) * _ROOM_PER_WORKER
    return max(wanted, _SMALLEST_ARENA) + RULES_BYTES


def with_kv_pages(cards: Sequence[ModelCard], config: ServeConfig, kv_bytes: int) -> list[ModelCard]:
    """The cards with `block_size` and `num_pages` filled in, where one pool's pages together take at most `kv_bytes`.

    A pool's memory is split evenly; what a model cannot use (all its streams at full length fit) goes to the others.
    Raises StartupError when a model gets less than one stream of full length needs.
    """
    sized = {card.index: replace(card, block_size=config.block_size) for card in cards}
    left = kv_bytes
    hungry = sorted((card for card in sized.values() if card.kv_layers), key=lambda card: _useful_bytes(card, config))
    for position, card in enumerate(hungry):
        share = left // (len(hungry) - position)
        num_pages = min(share // _page_bytes(card), config.max_num_seqs * pages_per_stream(card))
        if num_pages < pages_per_stream(card):
            raise _too_little_kv(card, share, config.pools)
        _check_step_fits(card, config, num_pages)
        sized[card.index] = replace(card, num_pages=num_pages)
        left -= num_pages * _page_bytes(card)
    return [sized[card.index] for card in cards]


def check_memory(wanted: int, what: str, advice: str) -> None:
    """Raises StartupError if `wanted` bytes more than this machine, or our control group, can give."""
    available = memory_available()
    if wanted + _LEFT_FREE > available:
        message = f"{what} {format_bytes(wanted)} of memory, and {format_bytes(available)} are available."
        raise StartupError(message, advice)


def pages_per_stream(card: ModelCard) -> int:
    """KV pages one stream of full length takes."""
    return -(-card.max_model_len // card.block_size)


def _page_bytes(card: ModelCard) -> int:
    return page_bytes(card.kv_layers, card.block_size, card.dtype)


def _useful_bytes(card: ModelCard, config: ServeConfig) -> int:
    return config.max_num_seqs * pages_per_stream(card) * _page_bytes(card)


def _largest_step(config: ServeConfig, table_width: int) -> int:
    longest = table_width * config.block_size
    shape = largest_generate_step(config.max_num_seqs, config.max_num_batched_tokens, table_width, longest)
    return step_bytes(shape)


def _check_step_fits(card: ModelCard, config: ServeConfig, num_pages: int) -> None:
    """The arena must always have room for the steps of one worker, or its streams would wait for ever."""
    step = _largest_step(config, min(pages_per_stream(card), num_pages))
    room = (arena_bytes(config) - RULES_BYTES) // _LARGEST_STEPS
    if step > room:
        raise StartupError(
            f"A full step of {card.name} takes {format_bytes(step)}; the memory for steps allows {format_bytes(room)}.",
            f"Say --max-model-len (the model has {card.max_model_len}), or a smaller --max-num-seqs.",
        )


def _too_little_kv(card: ModelCard, share: int, num_pools: int) -> StartupError:
    wanted = pages_per_stream(card) * _page_bytes(card)
    longest = share // _page_bytes(card) * card.block_size
    each = " in each pool" if num_pools > 1 else ""
    shorter = f", or --max-model-len {longest} or less" if longest else ""
    return StartupError(
        f"One stream of {card.max_model_len} tokens of {card.name} takes {format_bytes(wanted)} of KV memory, "
        f"and its share of --kv-cache-memory is {format_bytes(share)}{each}.",
        f"Give more --kv-cache-memory{shorter}.",
    )
