"""The control link: records, descriptors, long records, and how it ends."""

import os
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from ipc import control_link
from ipc.codec import encode
from ipc.config import LoaderConfig, ModelSpec
from ipc.control_link import MAX_FDS, ControlLink, LinkClosed
from ipc.control_messages import Fatal, ModelsReady, Ready, StartLoader, Stop, ToChild, ToSupervisor, WeightSegments
from ipc.errors import ProtocolError
from ipc.model_card import KvLayer, ModelCard
from ipc.segments import Segment

Ends = tuple[ControlLink[ToSupervisor], ControlLink[ToChild]]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, child_fd = ControlLink.pair()
    theirs = ControlLink.of_child(child_fd)
    yield ours, theirs
    for link in (ours, theirs):
        link.close()
        link.close()


def _card(index: int) -> ModelCard:
    return ModelCard(
        index=index,
        name=f"model {index}",
        path="/models/" + "x" * 3000,
        task="generate",
        architecture="LlamaForCausalLM",
        dtype="float32",
        vocab_size=1,
        max_model_len=1,
        kv_layers=(KvLayer(8, 128, 128),) * 200,
    )


def test_records_travel_both_ways_in_order(ends: Ends) -> None:
    ours, theirs = ends
    start = StartLoader(LoaderConfig(models=[ModelSpec("a", "b")]))
    ours.send(start)
    ours.send(Stop())
    theirs.send(Ready())
    assert theirs.receive(10.0) == (start, [])
    assert theirs.poll() == (Stop(), [])
    assert theirs.poll() is None
    assert ours.receive(10.0) == (Ready(), [])
    assert ours.receive(0.0) is None


def test_a_descriptor_arrives_as_the_same_memory(ends: Ends) -> None:
    ours, theirs = ends
    segment = Segment.create("weights", 4096)
    ours.send(WeightSegments(), [segment.fd])
    received = theirs.receive(10.0)
    assert received is not None
    (fd,) = received.fds
    assert not os.get_inheritable(fd)
    arrived = Segment.attach(fd)
    arrived.view[:5] = b"hello"
    assert bytes(segment.view[:5]) == b"hello"
    arrived.close()
    segment.close()


def test_many_descriptors_on_one_record(ends: Ends) -> None:
    ours, theirs = ends
    reading, writing = os.pipe()
    ours.send(WeightSegments(), [reading] * MAX_FDS)
    received = theirs.receive(10.0)
    assert received is not None
    assert len(set(received.fds)) == MAX_FDS
    for fd in (*received.fds, reading, writing):
        os.close(fd)


def test_too_many_descriptors_are_refused_before_sending(ends: Ends) -> None:
    with pytest.raises(ProtocolError, match="too large"):
        ends[0].send(WeightSegments(), [0] * (MAX_FDS + 1))


def test_too_long_a_record_is_refused_before_sending(ends: Ends) -> None:
    with pytest.raises(ProtocolError, match="too large"):
        ends[1].send(Fatal("x" * (control_link.MAX_RECORD_BYTES + 1)))


def test_a_record_of_many_packets_with_descriptors(ends: Ends) -> None:
    """Longer than any socket buffer: it can only arrive while it is being read."""
    ours, theirs = ends
    record = ModelsReady([_card(index) for index in range(1000)])
    assert len(encode(record)) > 3 << 20
    segment = Segment.create("kv", 4096)
    sender = threading.Thread(target=ours.send, args=(record, [segment.fd]))
    sender.start()
    received = theirs.receive(30.0)
    sender.join()
    assert received is not None
    assert received.record == record
    assert len(received.fds) == 1
    os.close(received.fds[0])
    segment.close()


def test_a_record_half_sent_by_a_killed_process_ends_as_closed() -> None:
    ours, child_fd = ControlLink.pair()
    child = socket.socket(fileno=child_fd)
    segment = Segment.create("half", 4096)
    socket.send_fds(child, [struct.pack("<I", 1000) + b"first half"], [segment.fd])
    child.close()
    with pytest.raises(LinkClosed):
        ours.receive(10.0)
    ours.close()
    segment.close()


def test_the_end_is_told_after_what_was_sent_before_it(ends: Ends) -> None:
    ours, theirs = ends
    theirs.send(Ready())
    theirs.close()
    assert ours.receive(10.0) == (Ready(), [])
    with pytest.raises(LinkClosed):
        ours.receive(10.0)
    with pytest.raises(LinkClosed):
        ours.send(Stop())


def test_who_never_reads_is_as_good_as_gone(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_link, "SEND_TIMEOUT_S", 0.05)
    with pytest.raises(LinkClosed, match="did not read"):
        _send_without_end(ends[0])


def _send_without_end(link: ControlLink[ToSupervisor]) -> None:
    for _ in range(10_000):
        link.send(ModelsReady([_card(0)]))


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        struct.pack("<I", 0),
        struct.pack("<I", 0) + b"\xff nonsense",
        struct.pack("<I", 0) + encode(Stop()),  # a record of the other direction
        struct.pack("<I", 0) + bytes(control_link.CHUNK_BYTES + 1),
    ],
)
def test_nonsense_is_refused_and_its_descriptors_closed(packet: bytes) -> None:
    ours, child_fd = ControlLink.pair()
    child = socket.socket(fileno=child_fd)
    segment = Segment.create("stray", 4096)
    socket.send_fds(child, [packet], [segment.fd])
    with pytest.raises(ProtocolError):
        ours.receive(10.0)
    child.send(struct.pack("<I", 0) + encode(Ready()))
    assert ours.receive(10.0) == (Ready(), [])
    child.close()
    ours.close()
    segment.close()


def test_a_record_that_never_ends_is_refused(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_link, "MAX_RECORD_BYTES", 1000)
    ours, child_fd = ControlLink.pair()
    child = socket.socket(fileno=child_fd)
    for _ in range(3):
        child.send(struct.pack("<I", 1 << 30) + bytes(400))
    with pytest.raises(ProtocolError, match="out of bounds"):
        ours.receive(10.0)
    child.close()
    ours.close()
