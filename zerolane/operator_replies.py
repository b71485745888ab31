"""What an operator's command prints at its end, and its exit code."""

import sys

from ipc.operator_protocol import Ended, FinalReply, Refused, Restarted, Scaled


def say_reply(reply: FinalReply) -> int:
    """Print it; the exit code: 0 if everything was done that was asked."""
    match reply:
        case Scaled():
            changes = f"{reply.started} started, {reply.stopped} stopped, {reply.seconds} s"
            others = f", spares: {reply.spares}" if reply.spares else ""
            others += f", pools: {reply.pools}" if reply.pools > 1 else ""
            print(f"workers that serve: {reply.workers} ({changes}){others}")
            return 0
        case Restarted():
            return _say_restarted(reply)
        case Ended():
            return _say_ended(reply)
        case Refused(message, advice):
            print(f"zerolane: {message} {advice}".rstrip(), file=sys.stderr)
    return 1


def _say_restarted(reply: Restarted) -> int:
    replaced = {
        "fork server": reply.fork_servers,
        "workers": reply.workers,
        "spares": reply.spares,
        "frontends": reply.frontends,
        "scheduler": reply.schedulers,
    }
    words = ", ".join(f"{role} {number}" for role, number in replaced.items() if number)
    print(f"replaced in {reply.seconds} s: {words}")
    if reply.frontends_killed:
        lost = f"{reply.frontends_killed} of the frontends did not finish in time; their requests were lost"
        print(f"zerolane: {lost}", file=sys.stderr)
        return 1
    return 0


def _say_ended(reply: Ended) -> int:
    if reply.exit_code != 0:
        print(f"zerolane: the server was ended at once (exit code {reply.exit_code})", file=sys.stderr)
        return 1
    if reply.requests_ended:
        print(f"drained in {reply.seconds} s; {reply.requests_ended} requests did not finish in time and were ended")
    else:
        print(f"drained in {reply.seconds} s; every open request was finished")
    return 0
