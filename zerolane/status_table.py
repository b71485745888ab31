"""`zerolane status` for people: tables of equal columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ipc.operator_protocol import ModelStatus, ProcessStatus, Status

_PROCESS_HEAD = (
    *("ROLE", "ID", "PID", "POOL", "PHASES", "EPOCH", "STATE", "RESTARTS", "UPTIME", "STEPS", "CPU %"),
    *("PSS MiB", "OF IT SHARED"),
)
_MODEL_HEAD = ("MODEL", "TASK", "DTYPE", "ATTENTION", "CONTEXT", "PARAMETERS", "WEIGHTS MiB", "KV MiB")
_LOAD_HEAD = ("MODEL", "RUNNING", "WAITING", "PAGES USED", "CACHED", "TOTAL")


@dataclass(frozen=True)
class Earlier:
    """The look before this one: with it the table shows rates instead of totals."""

    status: Status
    seconds_ago: float


def status_text(status: Status, earlier: Earlier | None = None) -> str:
    """The whole answer, without a final newline. Without an earlier look: processor time since each start, totals."""
    state = "ready" if status.ready else f"not ready: {status.reason}"
    queue = status.queue
    pools = f", {status.pools} pools" if status.pools > 1 else ""
    return "\n".join(
        [
            f"zerolane {status.version} on {status.address}, {status.phase}, {state}{pools}",
            f"{status.http_requests} HTTP requests open; {queue.running} streams run, "
            f"{queue.waiting} wait ({queue.waiting_tokens} tokens)",
            "",
            *_table([_PROCESS_HEAD, *_process_rows(status, earlier), _total_row(status)]),
            "",
            *_table([_MODEL_HEAD, *map(_model_row, status.models)]),
            "",
            *_table([(*_LOAD_HEAD, *_work_head(earlier)), *(_load_row(model, earlier) for model in status.models)]),
        ]
    )


def _process_rows(status: Status, earlier: Earlier | None) -> list[Sequence[str]]:
    return [_process_row(process, cpu_percent(process, earlier)) for process in status.processes]


def _process_row(process: ProcessStatus, cpu: float | None) -> Sequence[str]:
    return (
        process.role,
        str(process.id),
        str(process.pid or "-"),
        "-" if process.pool is None else str(process.pool),
        process.phases or "-",
        str(process.epoch),
        process.state,
        str(process.restarts),
        _duration(process.uptime_s),
        "-" if process.steps is None else str(process.steps),
        "-" if cpu is None else f"{cpu:.0f}",
        _mib(process.pss_mib),
        _mib(process.shared_pss_mib),
    )


def cpu_percent(process: ProcessStatus, earlier: Earlier | None) -> float | None:
    """Of one core: since the earlier look, if the process lived then, else since its start. None: not known."""
    if process.cpu_s is None:
        return None
    seconds, used = process.uptime_s, process.cpu_s
    if earlier is not None:
        for before in earlier.status.processes:
            if before.pid == process.pid and before.cpu_s is not None:
                seconds, used = earlier.seconds_ago, process.cpu_s - before.cpu_s
    return 100 * used / seconds if seconds > 0 else None


def _total_row(status: Status) -> Sequence[str]:
    total = sum(process.pss_mib or 0.0 for process in status.processes)
    shared = sum(process.shared_pss_mib or 0.0 for process in status.processes)
    return ("total", *[""] * (len(_PROCESS_HEAD) - 3), f"{total:.1f}", f"{shared:.1f}")


def _model_row(model: ModelStatus) -> Sequence[str]:
    return (
        model.name,
        model.task,
        model.dtype,
        model.attention_backend,
        str(model.max_model_len),
        f"{model.num_parameters:,}",
        f"{model.weights_mib:.1f}",
        f"{model.kv_mib:.1f}",
    )


# what a model has done: column, and its total
_WORK: tuple[tuple[str, Callable[[ModelStatus], int]], ...] = (
    ("STEPS", lambda model: model.steps_total),
    ("TOKENS", lambda model: model.tokens_total),
    ("PAIRS", lambda model: model.score_pairs_total),
)


def _work_head(earlier: Earlier | None) -> list[str]:
    return [f"{name}/s" if earlier else name for name, _ in _WORK]


def _load_row(model: ModelStatus, earlier: Earlier | None) -> Sequence[str]:
    pages = (model.pages_used, model.pages_cached, model.pages_total)
    now = [total_of(model) for _, total_of in _WORK]
    if earlier is None:
        work = [f"{total:,}" for total in now]
    else:
        before = [total_of(earlier.status.models[model.index]) for _, total_of in _WORK]
        work = [f"{(new - old) / earlier.seconds_ago:,.1f}" for new, old in zip(now, before, strict=True)]
    return (model.name, str(model.running), str(model.waiting), *map(str, pages), *work)


def _mib(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:.1f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [line.rstrip() for line in lines]
