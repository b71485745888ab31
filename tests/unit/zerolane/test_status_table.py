"""What the operator reads."""

from msgspec.structs import replace

from ipc.operator_protocol import (
    ModelStatus,
    ProcessStatus,
    QueueStatus,
    Status,
    parse_reply,
    to_line,
)
from zerolane.status_table import Earlier, cpu_percent, status_text

STATUS = Status(
    version="1.2",
    address="http://here:80",
    ready=False,
    reason="no worker is ready",
    phase="serving",
    processes=[
        ProcessStatus("scheduler", 0, 12, 1, "ready", 0, 3725.0, 20.5, 0.5, cpu_s=372.5),
        ProcessStatus("worker", 10, 0, 3, "restarting", 2, 0.0, pool=1, phases="both", steps=1500),
    ],
    models=[ModelStatus(0, "chat", "generate", "Llama", "float32", "paged", 2048, 1_000_000, 4.0, 8.0, 64, 16)],
    queue=QueueStatus(3, 2, 40),
    http_requests=4,
    pools=2,
)


def test_the_table() -> None:
    model = replace(
        STATUS.models[0],
        running=3,
        waiting=2,
        pages_total=128,
        pages_used=5,
        pages_cached=7,
        steps_total=1234,
        tokens_total=5678,
        prompt_tokens_total=9,
    )
    assert status_text(replace(STATUS, models=[model])).splitlines() == [
        "zerolane 1.2 on http://here:80, serving, not ready: no worker is ready, 2 pools",
        "4 HTTP requests open; 3 streams run, 2 wait (40 tokens)",
        "",
        "ROLE       ID  PID  POOL  PHASES  EPOCH  STATE       RESTARTS  UPTIME   STEPS  CPU %  PSS MiB  OF IT SHARED",
        "scheduler  0   12   -     -       1      ready       0         1:02:05  -      10     20.5     0.5",
        "worker     10  -    1     both    3      restarting  2         0:00:00  1500   -      -        -",
        "total                                                                                 20.5     0.5",
        "",
        "MODEL  TASK      DTYPE    ATTENTION  CONTEXT  PARAMETERS  WEIGHTS MiB  KV MiB",
        "chat   generate  float32  paged      2048     1,000,000   4.0          8.0",
        "",
        "MODEL  RUNNING  WAITING  PAGES USED  CACHED  TOTAL  STEPS  TOKENS  PAIRS",
        "chat   3        2        5           7       128    1,234  5,678   0",
    ]


def test_with_an_earlier_look_it_shows_rates() -> None:
    later = replace(
        STATUS,
        processes=[replace(STATUS.processes[0], cpu_s=373.5), STATUS.processes[1]],
        models=[replace(STATUS.models[0], steps_total=100, tokens_total=450)],
    )
    lines = status_text(later, Earlier(STATUS, 2.0)).splitlines()
    assert lines[-2:] == [
        "MODEL  RUNNING  WAITING  PAGES USED  CACHED  TOTAL  STEPS/s  TOKENS/s  PAIRS/s",
        "chat   0        0        0           0       0      50.0     225.0     0.0",
    ]
    assert lines[4].split()[-3] == "50"  # 1 s of processor time in 2 s


def test_processor_time_of_a_process_that_is_new_counts_from_its_start() -> None:
    new = replace(STATUS.processes[0], pid=77, cpu_s=1.0, uptime_s=4.0)
    assert cpu_percent(new, Earlier(STATUS, 1.0)) == 25.0


def test_it_travels_as_one_line() -> None:
    line = to_line(STATUS)
    assert line.count(b"\n") == 1
    assert parse_reply(line) == STATUS
