"""Whether the server can answer, and who is told: /ready of every frontend, and the operator."""

from ipc.control_messages import Readiness
from zerolane.children import Role
from zerolane.house import House
from zerolane.seats import SeatState


def missing(house: House) -> str:
    """What keeps the server from answering, for /ready and the operator; "" if nothing does."""
    if not house.cards:
        return "models are loading"
    if house.seats.scheduler.state is not SeatState.READY:
        return "the scheduler is starting"
    workers = house.seats.workers
    if any(worker.state is SeatState.READY for worker in workers):
        return ""
    failed = all(worker.state is SeatState.FAILED for worker in workers)
    return "no worker could be kept running" if failed else "no worker is ready"


def tell_readiness(house: House) -> None:
    """Every serving frontend knows what is missing now."""
    reason = missing(house)
    for frontend in house.seats.of(Role.FRONTEND):
        if frontend.state is SeatState.READY and frontend.child is not None and frontend.told_readiness != reason:
            frontend.told_readiness = reason
            frontend.child.send(Readiness(ready=not reason, reason=reason))
