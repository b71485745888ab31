"""What an operator reads at the end of a command, and what a script sees."""

import pytest

from ipc.operator_protocol import Ended, FinalReply, Refused, Restarted, Scaled
from zerolane.operator_replies import say_reply


@pytest.mark.parametrize(
    ("reply", "printed"),
    [
        (Scaled(2, 1, 0, 0.3), "workers that serve: 2 (1 started, 0 stopped, 0.3 s)\n"),
        (Scaled(2, 0, 1, 0.3, 1, 2), "workers that serve: 2 (0 started, 1 stopped, 0.3 s), spares: 1, pools: 2\n"),
        (
            Restarted(1, 2, 0, 1, 1, 0, 2.5),
            "replaced in 2.5 s: fork server 1, workers 2, frontends 1, scheduler 1\n",
        ),
        (Ended(0, 0, 1.5), "drained in 1.5 s; every open request was finished\n"),
        (Ended(3, 0, 1.5), "drained in 1.5 s; 3 requests did not finish in time and were ended\n"),
    ],
)
def test_done(reply: FinalReply, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert say_reply(reply) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Refused("No.", "Ask again."), "zerolane: No. Ask again.\n"),
        (Ended(0, 143, 1.5), "zerolane: the server was ended at once (exit code 143)\n"),
        (
            Restarted(1, 1, 0, 2, 1, 1, 2.5),
            "zerolane: 1 of the frontends did not finish in time; their requests were lost\n",
        ),
    ],
)
def test_not_all_of_it(reply: FinalReply, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert say_reply(reply) == 1
    assert capsys.readouterr().err == said
