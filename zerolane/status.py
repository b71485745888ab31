"""A picture of the running server for `zerolane status`: its processes, its models, its queue.

Cheap, because the supervisor makes it between two events: no look into /proc, no question to anybody.
"""

import os

from ipc.kv_layout import kv_regions
from ipc.metrics_page import MetricsPage
from ipc.model_card import ModelCard
from ipc.operator_protocol import ModelStatus, ProcessStatus, QueueStatus, Status
from zerolane import __version__
from zerolane.children import Role
from zerolane.house import House
from zerolane.readiness import missing
from zerolane.seats import Seat

_MIB = 1 << 20

Totals = dict[str, dict[str, int]]  # family -> first label value ("" without labels) -> sum of all processes


def status(house: House) -> Status:
    """As things are now."""
    reason, totals = missing(house), _totals(house.metrics)
    return Status(
        version=__version__,
        address=house.url,
        ready=not reason,
        reason=reason,
        phase=house.phase.name.lower(),
        processes=[_supervisor(house), *(_process(house, seat) for seat in house.seats)],
        models=[_model(card, totals) for card in house.cards],
        queue=_queue(totals),
        http_requests=sum(totals["zerolane_http_requests_in_flight"].values()),
        pools=len(house.pools.numbers),
    )


def open_http_requests(house: House) -> int:
    """Requests that frontends are answering now."""
    return sum(_totals(house.metrics)["zerolane_http_requests_in_flight"].values())


def _supervisor(house: House) -> ProcessStatus:
    return ProcessStatus(
        role="supervisor",
        id=0,
        pid=os.getpid(),
        epoch=1,
        state=house.phase.name.lower(),
        restarts=0,
        uptime_s=round(house.uptime_s, 1),
    )


def _process(house: House, seat: Seat) -> ProcessStatus:
    child, is_worker = seat.child, seat.role is Role.WORKER
    return ProcessStatus(
        role=seat.shown_role,
        id=seat.id,
        pid=child.pid if child else 0,
        epoch=seat.epoch,
        state=seat.state.value,
        restarts=seat.num_restarts,
        uptime_s=round(child.uptime_s, 1) if child else 0.0,
        pool=seat.pool if is_worker and not seat.is_spare else None,
        phases=seat.phases if is_worker and not seat.is_spare else "",
        steps=int(house.metrics.of_slot(seat.metrics_slot, "zerolane_worker_steps_total")) if is_worker else None,
    )


def _model(card: ModelCard, totals: Totals) -> ModelStatus:
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
        running=totals["zerolane_num_requests_running"][card.name],
        waiting=totals["zerolane_num_requests_waiting"][card.name],
        pages_total=totals["zerolane_kv_pages_total"][card.name],
        pages_used=totals["zerolane_kv_pages_used"][card.name],
        pages_cached=totals["zerolane_kv_pages_cached"][card.name],
        steps_total=totals["zerolane_steps_total"][card.name],
        tokens_total=totals["zerolane_generation_tokens_total"][card.name],
        prompt_tokens_total=totals["zerolane_prompt_tokens_total"][card.name],
        score_pairs_total=totals["zerolane_score_pairs_total"][card.name],
    )


def _queue(totals: Totals) -> QueueStatus:
    return QueueStatus(
        running=sum(totals["zerolane_num_requests_running"].values()),
        waiting=sum(totals["zerolane_num_requests_waiting"].values()),
        waiting_tokens=sum(totals["zerolane_waiting_tokens"].values()),
    )


def _totals(metrics: MetricsPage) -> Totals:
    totals: Totals = {}
    for reading in metrics.read():
        sums = totals[reading.family.name] = {}
        for labels, value in reading.values.items():
            key = labels[0] if labels else ""
            sums[key] = sums.get(key, 0) + int(value)
    return totals
