"""Each process' part of the settings, made from `ServeConfig`: what has the same name there is taken over as it is."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ipc.config import (
    BatchHeights,
    ForkServerConfig,
    FrontendConfig,
    KeeperConfig,
    LoaderConfig,
    ModelSpec,
    SchedulerConfig,
    ServeConfig,
    WorkerConfig,
)
from ipc.fake_card import FAKE_SOURCES
from ipc.model_card import ModelCard
from zerolane import __version__
from zerolane.cores import usable_cores
from zerolane.runtime_dir import SCHEDULER_SOCKET
from zerolane.seats import Seat


def frontend_config(config: ServeConfig, seat: Seat, runtime_dir: Path) -> FrontendConfig:
    own: dict[str, Any] = {
        "frontend_id": seat.id,
        "epoch": seat.epoch,
        "metrics_slot": seat.metrics_slot,
        "scheduler_address": _scheduler_address(runtime_dir),
        "runtime_dir": str(runtime_dir),
        "shutdown_timeout_s": config.shutdown_timeout,
        "version": __version__,
        "api_key_digests": tuple(sha256(key.encode("utf-8", "surrogateescape")).hexdigest() for key in config.api_key),
    }
    return FrontendConfig(**_same_names(config, FrontendConfig) | own)


def scheduler_config(config: ServeConfig, seat: Seat, runtime_dir: Path) -> SchedulerConfig:
    own: dict[str, Any] = {
        "epoch": seat.epoch,
        "metrics_slot": seat.metrics_slot,
        "address": _scheduler_address(runtime_dir),
    }
    return SchedulerConfig(**_same_names(config, SchedulerConfig) | own)


def fork_server_config(config: ServeConfig, specs: Sequence[ModelSpec]) -> ForkServerConfig:
    own: dict[str, Any] = {
        "has_real_models": any(spec.source not in FAKE_SOURCES for spec in specs),
        "fake_step_s": config.fake_step_ms / 1000,
    }
    return ForkServerConfig(**_same_names(config, ForkServerConfig) | own)


def keeper_config(config: ServeConfig, seat: Seat, cards: Sequence[ModelCard]) -> KeeperConfig:
    """A pool's number is its GPU's index among those the server sees."""
    devices = {card.device for card in cards if card.device != "cpu"}
    own: dict[str, Any] = {"pool": seat.id, "epoch": seat.epoch, "device_index": seat.id, "device": devices.pop()}
    return KeeperConfig(**_same_names(config, KeeperConfig) | own)


def worker_config(config: ServeConfig, seat: Seat, batch_heights: BatchHeights) -> WorkerConfig:
    own: dict[str, Any] = {
        "worker_id": seat.id,
        "epoch": seat.epoch,
        "metrics_slot": seat.metrics_slot,
        "threads": seat.num_threads,
        "batch_heights": batch_heights,
    }
    return WorkerConfig(**_same_names(config, WorkerConfig) | own)


def loader_config(config: ServeConfig, specs: Sequence[ModelSpec]) -> LoaderConfig:
    own: dict[str, Any] = {"models": list(specs), "threads": config.threads or usable_cores()}
    return LoaderConfig(**_same_names(config, LoaderConfig) | own)


def _scheduler_address(runtime_dir: Path) -> str:
    return f"ipc://{runtime_dir / SCHEDULER_SOCKET}"


def _same_names(config: ServeConfig, target: type[Struct]) -> dict[str, Any]:
    settings = msgspec.structs.asdict(config)
    return {name: settings[name] for name in target.__struct_fields__ if name in settings}
