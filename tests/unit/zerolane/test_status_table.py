"""What the operator reads."""

from zerolane.operator_protocol import (
    ModelStatus,
    ProcessStatus,
    QueueStatus,
    Status,
    parse_reply,
    to_line,
)
from zerolane.status_table import status_text

STATUS = Status(
    version="1.2",
    address="http://here:80",
    ready=False,
    reason="no worker is ready",
    phase="serving",
    processes=[
        ProcessStatus("scheduler", 0, 12, 1, "ready", 0, 3725.0, 20.5, 0.5),
        ProcessStatus("worker", 10, 0, 3, "restarting", 2, 0.0, None, None),
    ],
    models=[ModelStatus(0, "chat", "generate", "Llama", "float32", "paged", 2048, 1_000_000, 4.0, 8.0, 64, 16)],
    queue=QueueStatus(3, 2, 40),
)


def test_the_table() -> None:
    assert status_text(STATUS).splitlines() == [
        "zerolane 1.2 on http://here:80, serving, not ready: no worker is ready",
        "3 requests run, 2 wait (40 tokens)",
        "",
        "ROLE       ID  PID  EPOCH  STATE       RESTARTS  UPTIME   PSS MiB  OF IT SHARED",
        "scheduler  0   12   1      ready       0         1:02:05  20.5     0.5",
        "worker     10  -    3      restarting  2         0:00:00  -        -",
        "total                                                     20.5     0.5",
        "",
        "MODEL  TASK      DTYPE    ATTENTION  CONTEXT  PARAMETERS  WEIGHTS MiB  KV MiB  PAGES",
        "chat   generate  float32  paged      2048     1,000,000   4.0          8.0     64",
    ]


def test_it_travels_as_one_line() -> None:
    line = to_line(STATUS)
    assert line.count(b"\n") == 1
    assert parse_reply(line) == STATUS
