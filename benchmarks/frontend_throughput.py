"""How many streamed tokens a second reach clients, and what each process spends on a token: the fake model, real HTTP.

    python benchmarks/frontend_throughput.py [--streams 64,256] [--frontends 1,2] [--endpoint completions,chat]
    python benchmarks/frontend_throughput.py --beside DIR      the same with another checkout, by turns

The fake model costs some microseconds a token, and the client counts events without parsing them, so what is measured
is the server's own path from the ring to the socket. On a machine without cores for every process the rate is that of
all of them together; then the frontend's processor time a token says what it could do on a core of its own.
"""

import argparse
import contextlib
import itertools
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from msgspec import Struct

from benchmarks.streaming.fake_server import ROOT, FakeServer
from benchmarks.streaming.load import ENDPOINTS, Clients, Load, LoadRun

ROLES = ("frontend", "scheduler", "worker", "client")
WARM_UP_TOKENS = 32


class Row(Struct, frozen=True):
    """All runs of one checkout, number of frontends and load."""

    tree: str
    num_frontends: int
    load: Load
    runs: list[LoadRun]

    def median(self, role: str) -> float:
        """Processor microseconds a token."""
        return statistics.median(run.cpu_us_per_token.get(role, 0.0) for run in self.runs)

    @property
    def tokens_per_s(self) -> float:
        return statistics.median(run.tokens_per_s for run in self.runs)


def measure(
    trees: list[Path], num_frontends: int, loads: list[Load], repeats: int, num_clients: int, step_ms: float
) -> list[Row]:
    """Every load on a server of every checkout, by turns."""
    options = [
        f"--fake-step-ms={step_ms}",
        f"--frontends={num_frontends}",
        f"--max-num-seqs={max(load.num_streams for load in loads)}",
        "--max-num-batched-tokens=8192",
        f"--max-model-len={max(load.output_tokens for load in loads) + 256}",
        "--log-level=warning",
    ]
    with contextlib.ExitStack() as stack:
        clients = stack.enter_context(contextlib.closing(Clients(num_clients)))
        servers = [stack.enter_context(contextlib.closing(FakeServer(options, tree))) for tree in trees]
        rows = [Row(str(tree), num_frontends, load, []) for load in loads for tree in trees]
        for load, server in itertools.product(loads, servers):
            clients.run(server, Load(load.num_streams, WARM_UP_TOKENS, load.endpoint))
        for _, (place, load) in itertools.product(range(repeats), enumerate(loads)):
            for number, server in enumerate(servers):
                rows[place * len(servers) + number].runs.append(clients.run(server, load))
    return rows


def report(rows: list[Row]) -> str:
    """In lines of at most 120 characters."""
    lines = [
        f"{'frontends':>9} {'endpoint':>12} {'streams':>8} {'tokens/s':>9} {'(spread)':>17} {'events':>7}"
        + "".join(f" {role:>10}" for role in ROLES)
        + "   CPU us a token"
    ]
    for row in rows:
        rates = [run.tokens_per_s for run in row.runs]
        spread = f"({min(rates):.0f}-{max(rates):.0f})"
        events = statistics.median(run.events_per_token for run in row.runs)
        shown = "".join(f" {row.median(role):>10.2f}" for role in ROLES)
        line = f"{row.num_frontends:>9} {row.load.endpoint:>12} {row.load.num_streams:>8} {row.tokens_per_s:>9.0f}"
        lines.append(f"{line} {spread:>17} {events:>7.2f}{shown}   {'' if row.tree == str(ROOT) else row.tree}")
    lines.append("frontend tokens/s on a core of its own, by its processor time:")
    lines += [
        f"    {row.load.endpoint}, {row.load.num_streams} streams, {row.num_frontends} frontends:"
        f" {row.num_frontends * 1e6 / row.median('frontend'):.0f} {'' if row.tree == str(ROOT) else row.tree}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="64,256", help="numbers of streams, separated by commas")
    parser.add_argument("--output-tokens", type=int, default=256)
    parser.add_argument("--frontends", default="1", help="numbers of frontends, separated by commas")
    parser.add_argument("--endpoint", default=",".join(ENDPOINTS), help="completions, chat or both")
    parser.add_argument("--clients", type=int, default=1, help="client processes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--step-ms", type=float, default=0.0, help="a step takes so long: then tokens come one by one, as from a model"
    )
    parser.add_argument("--beside", type=Path, help="another checkout, measured by turns with this one")
    parser.add_argument("--json", type=Path, help="write all runs here too")
    options = parser.parse_args()
    loads = [
        Load(int(count), options.output_tokens, endpoint)
        for endpoint in options.endpoint.split(",")
        for count in options.streams.split(",")
    ]
    trees = [ROOT, *([options.beside.resolve()] if options.beside else [])]
    rows: list[Row] = []
    for count in options.frontends.split(","):
        rows += measure(trees, int(count), loads, options.repeats, options.clients, options.step_ms)
    print(report(rows))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))


if __name__ == "__main__":
    main()
