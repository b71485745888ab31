"""`zerolane status` for people: tables of equal columns."""

from collections.abc import Sequence

from zerolane.operator_protocol import ModelStatus, ProcessStatus, Status

_PROCESS_HEAD = ("ROLE", "ID", "PID", "EPOCH", "STATE", "RESTARTS", "UPTIME", "PSS MiB", "OF IT SHARED")
_MODEL_HEAD = ("MODEL", "TASK", "DTYPE", "ATTENTION", "CONTEXT", "PARAMETERS", "WEIGHTS MiB", "KV MiB", "PAGES")


def status_text(status: Status) -> str:
    """The whole answer, without a final newline."""
    state = "ready" if status.ready else f"not ready: {status.reason}"
    queue = status.queue
    total = sum(process.pss_mib or 0.0 for process in status.processes)
    shared = sum(process.shared_pss_mib or 0.0 for process in status.processes)
    total_row = ("total", *[""] * (len(_PROCESS_HEAD) - 3), f"{total:.1f}", f"{shared:.1f}")
    return "\n".join(
        [
            f"zerolane {status.version} on {status.address}, {status.phase}, {state}",
            f"{queue.running} requests run, {queue.waiting} wait ({queue.waiting_tokens} tokens)",
            "",
            *_table([_PROCESS_HEAD, *map(_process_row, status.processes), total_row]),
            "",
            *_table([_MODEL_HEAD, *map(_model_row, status.models)]),
        ]
    )


def _process_row(process: ProcessStatus) -> Sequence[str]:
    return (
        process.role,
        str(process.id),
        str(process.pid or "-"),
        str(process.epoch),
        process.state,
        str(process.restarts),
        _duration(process.uptime_s),
        _mib(process.pss_mib),
        _mib(process.shared_pss_mib),
    )


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
        str(model.num_pages),
    )


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
