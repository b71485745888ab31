"""A picture of the running server for `zerolane status`: its processes with their memory, its models, its queue."""

import os
from pathlib import Path

from ipc.kv_layout import kv_regions
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from zerolane import __version__
from zerolane.house import House
from zerolane.operator_protocol import ModelStatus, ProcessStatus, QueueStatus, Status
from zerolane.readiness import missing
from zerolane.seats import Seat

_MIB = 1 << 20


def status(house: House) -> Status:
    """As things are now."""
    reason = missing(house)
    return Status(
        version=__version__,
        address=house.url,
        ready=not reason,
        reason=reason,
        phase=house.phase.name.lower(),
        processes=[_supervisor(house), *(_process(seat) for seat in house.seats)],
        models=[_model(card) for card in house.cards],
        queue=_queue(house.metrics),
    )


def pss_mib(pid: int) -> dict[str, float]:
    """Proportional set size of a process by kind ("Pss", and of it "Pss_Shmem" in memory segments): a page that n
    processes map counts as a part of 1/n. Empty when the process is gone or the kernel does not tell."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines if line.startswith("Pss")]
    return {kind.rstrip(":"): round(int(kib) / 1024, 1) for kind, kib, *_ in words}


def _supervisor(house: House) -> ProcessStatus:
    pss = pss_mib(os.getpid())
    return ProcessStatus(
        role="supervisor",
        id=0,
        pid=os.getpid(),
        epoch=1,
        state=house.phase.name.lower(),
        restarts=0,
        uptime_s=round(house.uptime_s, 1),
        pss_mib=pss.get("Pss"),
        shared_pss_mib=pss.get("Pss_Shmem"),
    )


def _process(seat: Seat) -> ProcessStatus:
    child = seat.child
    pss = pss_mib(child.pid) if child else {}
    return ProcessStatus(
        role=seat.role.value,
        id=seat.id,
        pid=child.pid if child else 0,
        epoch=seat.epoch,
        state=seat.state.value,
        restarts=seat.num_restarts,
        uptime_s=round(child.uptime_s, 1) if child else 0.0,
        pss_mib=pss.get("Pss"),
        shared_pss_mib=pss.get("Pss_Shmem"),
    )


def _model(card: ModelCard) -> ModelStatus:
    kv_bytes = kv_regions(card)[1] if card.kv_layers else 0
    return ModelStatus(
        index=card.index,
        name=card.name,
        task=card.task,
        architecture=card.architecture,
        dtype=card.dtype,
        attention_backend=card.attention_backend,
        max_model_len=card.max_model_len,
        num_parameters=card.num_parameters,
        weights_mib=round(card.weights_bytes / _MIB, 1),
        kv_mib=round(kv_bytes / _MIB, 1),
        num_pages=card.num_pages,
        block_size=card.block_size,
    )


def _queue(metrics: MetricsPage) -> QueueStatus:
    totals = {reading.family.name: int(sum(reading.values.values())) for reading in metrics.read()}
    return QueueStatus(
        running=totals["zerolane_num_requests_running"],
        waiting=totals["zerolane_num_requests_waiting"],
        waiting_tokens=totals["zerolane_waiting_tokens"],
    )
