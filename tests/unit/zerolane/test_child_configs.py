"""Each process gets the settings that are its part."""

from pathlib import Path

import msgspec
import pytest

from ipc.config import (
    ForkServerConfig,
    FrontendConfig,
    LoaderConfig,
    ModelSpec,
    SchedulerConfig,
    ServeConfig,
    WorkerConfig,
)
from zerolane import __version__
from zerolane.child_configs import fork_server_config, frontend_config, loader_config, scheduler_config, worker_config
from zerolane.children import Role
from zerolane.cores import threads_per_worker, usable_cores
from zerolane.seats import MAX_FRONTENDS, MAX_WORKERS, NUM_METRICS_SLOTS, Seat

CONFIG = ServeConfig(
    max_num_seqs=7,
    max_num_batched_tokens=99,
    enable_prefix_caching=False,
    log_format="json",
    fake_step_ms=5.0,
    shutdown_timeout=3.0,
    chat_template="file",
    revision="abc",
)
HERE = Path("/run/somewhere/8000")


def test_frontend_and_scheduler_meet_at_the_same_address() -> None:
    frontend = frontend_config(CONFIG, Seat(Role.FRONTEND, 3, epoch=2), HERE)
    scheduler = scheduler_config(CONFIG, Seat(Role.SCHEDULER, 0, epoch=5), HERE)
    assert frontend.scheduler_address == scheduler.address == "ipc:///run/somewhere/8000/scheduler.sock"
    assert (frontend.frontend_id, frontend.epoch, frontend.runtime_dir) == (3, 2, str(HERE))
    assert (frontend.shutdown_timeout_s, frontend.chat_template, frontend.log_format) == (3.0, "file", "json")
    assert frontend.version == __version__
    assert (scheduler.epoch, scheduler.max_num_seqs, scheduler.enable_prefix_caching) == (5, 7, False)


def test_workers_share_the_cores() -> None:
    assert threads_per_worker(CONFIG.threads, 1) == usable_cores()
    assert threads_per_worker(CONFIG.threads, 10_000) == 1
    assert threads_per_worker(3, 10_000) == 3
    known = worker_config(CONFIG, Seat(Role.WORKER, 1, num_threads=3), {0: (16, 32)})
    assert (known.threads, known.worker_id, known.batch_heights) == (3, 1, {0: (16, 32)})


def test_the_fork_server_knows_whether_it_needs_torch() -> None:
    fake, real = ModelSpec("a", "fake:generate"), ModelSpec("b", "/b")
    assert not fork_server_config(CONFIG, [fake]).has_real_models
    assert fork_server_config(CONFIG, [fake, real]).has_real_models
    assert fork_server_config(CONFIG, [fake]).fake_step_s == 0.005


def test_the_loader_gets_the_models() -> None:
    specs = [ModelSpec("a", "/a")]
    loader = loader_config(CONFIG, specs)
    assert (loader.models, loader.revision, loader.threads) == (specs, "abc", usable_cores())


@pytest.mark.parametrize("target", [FrontendConfig, SchedulerConfig, ForkServerConfig, WorkerConfig, LoaderConfig])
def test_no_setting_of_a_process_is_forgotten(target: type[msgspec.Struct]) -> None:
    """What has a default in a process' config is either a setting of the same name, or named here."""
    known = set(ServeConfig.__struct_fields__) | {
        "steps_in_flight",
        "fake_step_s",
        "version",
        "batch_heights",
        "api_key_digests",
    }
    with_default = {field.name for field in msgspec.structs.fields(target) if not field.required}
    assert with_default <= known


def test_no_two_processes_share_a_metrics_slot() -> None:
    seats = [Seat(Role.SCHEDULER)]
    seats += [Seat(Role.FRONTEND, i) for i in range(MAX_FRONTENDS)]
    seats += [Seat(Role.WORKER, i) for i in range(MAX_WORKERS)]
    slots = [0, *(seat.metrics_slot for seat in seats)]
    assert sorted(slots) == list(range(NUM_METRICS_SLOTS))
