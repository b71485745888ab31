"""What is sent to frontends: in order, kept while a frontend cannot take it, dropped when it is gone."""

from ipc.codec import Decoder
from ipc.messages import FromScheduler, Welcome
from ipc.zmq_link import SendResult
from scheduler.to_frontend import FrontendOutbox


class ScriptedRouter:
    def __init__(self) -> None:
        self.result = SendResult.SENT
        self.sent: list[tuple[bytes, int]] = []
        self._decoder: Decoder[FromScheduler] = Decoder(FromScheduler)

    def send(self, identity: bytes, frame: bytes) -> SendResult:
        if self.result is SendResult.SENT:
            record = self._decoder.decode(frame)
            assert isinstance(record, Welcome)
            self.sent.append((identity, record.scheduler_epoch))
        return self.result


def test_order_is_kept_through_back_pressure() -> None:
    router = ScriptedRouter()
    outbox = FrontendOutbox(router)  # type: ignore[arg-type]  # stands for RouterLink
    index = outbox.index_of(b"F1")
    outbox.send(index, Welcome(1))
    router.result = SendResult.FULL
    outbox.send(index, Welcome(2))
    outbox.flush()
    router.result = SendResult.SENT
    outbox.send(index, Welcome(3))
    assert [epoch for _, epoch in router.sent] == [1, 2, 3]


def test_a_frontend_that_is_gone_is_reported_once_and_forgotten() -> None:
    router = ScriptedRouter()
    outbox = FrontendOutbox(router)  # type: ignore[arg-type]
    index = outbox.index_of(b"F1")
    router.result = SendResult.GONE
    outbox.send(index, Welcome(1))
    outbox.send(index, Welcome(2))
    assert outbox.lost == [b"F1"]


def test_a_frontend_too_far_behind_is_gone() -> None:
    router = ScriptedRouter()
    outbox = FrontendOutbox(router, max_frames=3)  # type: ignore[arg-type]
    index = outbox.index_of(b"F1")
    router.result = SendResult.FULL
    for epoch in range(5):
        outbox.send(index, Welcome(epoch))
    assert outbox.lost == [b"F1"]
