"""The transports `benchmarks/ipc.py` compares, each as a pair of endpoints in two processes.

A transport object is made before the fork and holds what both processes share; `endpoint` is called once in each. Every
endpoint copies the payload once into its transport (except "in place") and gives the receiver memory it can read; what
more copies there are is the transport's own doing.
"""

import ctypes
import importlib
import multiprocessing
import os
import queue
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq

from benchmarks.ipc_endpoint import Endpoint, Side, Transport, look_at
from benchmarks.ipc_ring import RingInPlace, RingTransport

WAIT_S = 30.0  # a peer that says nothing for so long is dead
ZERO_COPY_FROM = 64 << 10  # pyzmq's own default threshold
_fork = multiprocessing.get_context("fork")


class ZmqTransport:
    """pyzmq: a PAIR over ipc://, without copies on both sides from 64 KiB on."""

    def __init__(self, size: int, window: int, spins: bool) -> None:
        self.size, self.window, self.spins = size, window, spins
        self._folder = tempfile.TemporaryDirectory()
        self.address = f"ipc://{self._folder.name}/pair"

    def endpoint(self, side: Side) -> Endpoint:
        return ZmqEndpoint(self, side)

    def close(self) -> None:
        self._folder.cleanup()


class ZmqEndpoint:
    def __init__(self, shared: ZmqTransport, side: Side) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PAIR)
        for option in (zmq.SNDHWM, zmq.RCVHWM):
            self._socket.setsockopt(option, shared.window + 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, int(WAIT_S * 1000))
        (self._socket.connect if side else self._socket.bind)(shared.address)
        self._copies = shared.size < ZERO_COPY_FROM
        self._spins = shared.spins

    def send(self, payload: bytes) -> None:
        self._socket.send(payload, 0, copy=self._copies or len(payload) < ZERO_COPY_FROM)

    def receive(self) -> int:
        while True:
            try:
                message = self._socket.recv(zmq.NOBLOCK if self._spins else 0, copy=self._copies)
            except zmq.Again:
                if not self._spins:
                    raise
                os.sched_yield()
            else:
                return look_at(message if isinstance(message, bytes) else message.buffer)

    def close(self) -> None:
        self._socket.close(linger=0)
        self._context.term()


class PipeTransport:
    """multiprocessing.Pipe, raw bytes."""

    def __init__(self, size: int, window: int, spins: bool) -> None:
        self._ends = _fork.Pipe()
        self._spins = spins

    def endpoint(self, side: Side) -> Endpoint:
        return PipeEndpoint(self._ends[side], self._spins)

    def close(self) -> None:
        for end in self._ends:
            end.close()


class PipeEndpoint:
    def __init__(self, end: "Connection[Any, Any]", spins: bool) -> None:
        self._end = end
        self._spins = spins

    def send(self, payload: bytes) -> None:
        self._end.send_bytes(payload)

    def receive(self) -> int:
        if self._spins:
            while not self._end.poll(0):
                os.sched_yield()
        return look_at(self._end.recv_bytes())

    def close(self) -> None:
        """The transport closes the pipe."""


class QueueTransport:
    """multiprocessing.Queue: a feeder thread, pickle, a pipe and locks."""

    def __init__(self, size: int, window: int, spins: bool) -> None:
        self._queues: list[multiprocessing.Queue[bytes]] = [_fork.Queue() for _ in range(2)]
        self._spins = spins

    def endpoint(self, side: Side) -> Endpoint:
        return QueueEndpoint(self._queues[side], self._queues[1 - side], self._spins)

    def close(self) -> None:
        for each in self._queues:
            each.close()
            each.cancel_join_thread()


class QueueEndpoint:
    def __init__(
        self, outgoing: "multiprocessing.Queue[bytes]", incoming: "multiprocessing.Queue[bytes]", spins: bool
    ) -> None:
        self._outgoing, self._incoming, self._spins = outgoing, incoming, spins

    def send(self, payload: bytes) -> None:
        self._outgoing.put(payload)

    def receive(self) -> int:
        while self._spins:
            try:
                return look_at(self._incoming.get_nowait())
            except queue.Empty:
                os.sched_yield()
        return look_at(self._incoming.get(timeout=WAIT_S))

    def close(self) -> None:
        """The transport closes the queues."""


class IceoryxTransport:
    """iceoryx2's Python binding: publish-subscribe each way, and an event each way when blocking."""

    def __init__(self, size: int, window: int, spins: bool) -> None:
        self.size, self.window, self.spins = size, window, spins
        self.name = f"zerolane-benchmark-{Path(tempfile.mktemp()).name}"

    def endpoint(self, side: Side) -> Endpoint:
        return IceoryxEndpoint(self, side)

    def close(self) -> None:
        """Everything belongs to the endpoints' nodes."""


class IceoryxEndpoint:
    def __init__(self, shared: IceoryxTransport, side: Side) -> None:
        iox2: Any = importlib.import_module("iceoryx2")  # optional: the runner leaves this transport out without it
        iox2.set_log_level(iox2.LogLevel.Error)
        node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        data, events = [], []
        for direction in range(2):
            name = iox2.ServiceName.new(f"{shared.name}-{direction}")
            builder = node.service_builder(name).publish_subscribe(iox2.Slice[ctypes.c_uint8])
            builder = builder.enable_safe_overflow(False).subscriber_max_buffer_size(shared.window + 1)
            data.append(builder.max_publishers(1).max_subscribers(1).history_size(0).open_or_create())
            events.append(node.service_builder(name).event().open_or_create())
        publisher = data[side].publisher_builder().initial_max_slice_len(shared.size)
        self._publisher: Any = publisher.backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered).create()
        self._subscriber: Any = data[1 - side].subscriber_builder().buffer_size(shared.window + 1).create()
        self._notifier: Any = events[side].notifier_builder().create()
        self._listener: Any = events[1 - side].listener_builder().create()
        self._nap: Any = iox2.Duration.from_millis(20)
        self._spins = shared.spins
        self._kept = [node, data, events]

    def send(self, payload: bytes) -> None:
        sample = self._publisher.loan_slice_uninit(len(payload))
        ctypes.memmove(sample.payload_ptr, payload, len(payload))
        sample.assume_init().send()
        if not self._spins:
            self._notifier.notify()

    def receive(self) -> int:
        while (sample := self._subscriber.receive()) is None:
            if self._spins:
                os.sched_yield()
            else:
                self._listener.timed_wait(self._nap)
        return look_at(sample.payload().as_memory_view().cast("B"))

    def close(self) -> None:
        for port in (self._publisher, self._subscriber, self._notifier, self._listener):
            port.delete()
        self._kept.clear()


TRANSPORTS: dict[str, type[Transport]] = {
    "ring+arena": RingTransport,
    "ring+arena in place": RingInPlace,
    "pyzmq": ZmqTransport,
    "mp.Pipe": PipeTransport,
    "mp.Queue": QueueTransport,
    "iceoryx2": IceoryxTransport,
}
