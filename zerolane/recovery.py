"""What follows when a process ends: by whom it is replaced, when, and who must know.

A process that ends within SHORT_LIFE_S of serving, or never served, has lived too short; MAX_SHORT_LIVES of them in a
row and nobody takes its seat any more. Pauses between short lives grow; after a long life there is none. A worker that
comes into service ends the row: a request that kills several one after the other must not close their seats.

A worker that dies has an heir if a spare is ready: it takes over at once, and the dead one's seat becomes the spare's.
"""

import logging

from ipc.control_messages import FrontendGone, SchedulerGone, UseSpare, WorkerGone
from ipc.doorbell import Doorbell
from ipc.errors import StartupError, ZerolaneError
from zerolane import gpu_pools
from zerolane.children import Role, describe_exit
from zerolane.house import House, Phase
from zerolane.lifecycle import on_message, stop
from zerolane.seats import Seat, SeatState
from zerolane.worker_links import link_worker

SHORT_LIFE_S = 0.5  # who is killed once a second is worth starting again
MAX_SHORT_LIVES = 5
SPARE_PAUSE_S = 0.3  # a new spare takes processor time to start, which the heir has better use for right then
RESTART_PAUSES_S = (0.0, 0.5, 1.0, 2.0)  # before the first, second ... replacement in a row

log = logging.getLogger("zerolane.supervisor.recovery")


class GaveUp(ZerolaneError):
    """The server cannot be kept alive."""


def on_exit(house: House, seat: Seat) -> None:
    """The process of `seat` has truly ended. Raises StartupError during the start, GaveUp if nothing can replace it."""
    if seat.child is None:
        return
    for record in seat.child.received()[0]:
        on_message(house, seat, record)
    was, served_s = seat.state, seat.served_s
    how = _clear_out(house, seat)
    if seat.role is Role.LOADER:
        _on_loader_exit(house, seat, how)
    elif house.phase is Phase.STARTING:
        raise _failed_start(seat, how)
    elif house.phase is not Phase.STOPPING:
        _log_death(seat, was, how)
        _repair(house, seat, was, is_short=served_s < SHORT_LIFE_S and not seat.is_replaced)


def on_not_born(house: House, seat: Seat) -> None:
    """The process a worker's seat waits for does not come. Raises StartupError during the start."""
    seat.state = SeatState.GONE
    seat.set_timer(None)
    if house.phase is Phase.STARTING:
        raise _failed_start(seat, "could not be made")
    if house.seats.fork_server.state is SeatState.FAILED:
        seat.num_short_lives = MAX_SHORT_LIVES  # nobody is there who could make one later
    if house.phase is not Phase.STOPPING:
        _repair(house, seat, SeatState.STARTING, is_short=True)


def _clear_out(house: House, seat: Seat) -> str:
    """Let go of the process; how it ended, in words."""
    child = seat.child
    if child is None:
        return "was not there"
    house.loop.unwatch(child.link.fileno())
    house.loop.unwatch(child.pidfd)
    code = child.reap()
    seat.child, seat.state = None, SeatState.GONE
    seat.set_timer(None)
    seat.drop_link()
    if seat.role is Role.WORKER:
        gpu_pools.on_worker_gone(house, seat)
    if seat.has_metrics:
        house.metrics.writer(seat.metrics_slot).reset_gauges()
    return describe_exit(code)


def _on_loader_exit(house: House, seat: Seat, how: str) -> None:
    """It is done when it has said Loaded, however it ends then."""
    house.seats.remove(seat)
    if house.loaded is None and house.phase is Phase.STARTING:
        raise _failed_start(seat, how)


def _failed_start(seat: Seat, how: str) -> StartupError:
    if seat.last_words is not None:
        return StartupError(seat.last_words.message, seat.last_words.advice)
    advice = "See what it wrote above."
    if "SIGKILL" in how:
        advice = "If it was not killed by hand, memory ran out: give less --kv-cache-memory, or serve a smaller model."
    return StartupError(f"The {seat.name} process {how} during the start.", advice)


def _log_death(seat: Seat, was: SeatState, how: str) -> None:
    if was is SeatState.STOPPING or seat.is_replaced:
        log.info(f"{seat.name} has left", extra={"fields": {"epoch": seat.epoch}})
    else:
        log.warning(f"{seat.name} {how}", extra={"fields": {"was": was.value, "epoch": seat.epoch}})


def _repair(house: House, seat: Seat, was: SeatState, is_short: bool) -> None:
    """Tell the others, and fill the seat again unless it was meant to be empty."""
    returns = seat.is_moving or was not in (SeatState.STOPPING, SeatState.DRAINING, SeatState.DRAINED)
    if returns and house.phase is Phase.DRAINING and seat.role is Role.FRONTEND:
        returns = False  # nobody can connect to it any more
    seat.num_short_lives = seat.num_short_lives + 1 if is_short else 0
    gives_up = returns and seat.num_short_lives >= MAX_SHORT_LIVES
    match seat.role:
        case Role.WORKER:
            will_return = (returns and not gives_up) or _others_are_coming(house, seat)
            _tell_worker_gone(house, seat, was, will_return, wants_heir=returns)
        case Role.KEEPER:
            gpu_pools.on_keeper_gone(house, seat)
        case Role.FORKSERVER:
            house.forks.forget_all()  # who waits is asked for again
        case Role.SCHEDULER:
            _replace_scheduler(house, seat)
        case Role.FRONTEND:
            if house.scheduler_in_service is not None:
                house.scheduler_in_service.send(FrontendGone(seat.id, seat.epoch))
    if gives_up:
        _give_up(house, seat)
    elif returns:
        _restart_later(house, seat)
    elif seat.role is Role.WORKER:
        house.seats.remove(seat)


def _tell_worker_gone(house: House, seat: Seat, was: SeatState, will_return: bool, wants_heir: bool) -> None:
    """With the spare that takes over, if there is one: so no time is lost, and no other worker is burdened."""
    scheduler = house.scheduler_in_service
    was_asked = was is SeatState.STOPPING
    if scheduler is None or (was_asked and not seat.is_added):
        return  # its successor hears of the living only; or it has let go of this one already
    ready = [spare for spare in house.seats.spares if spare.state is SeatState.READY and spare is not seat]
    heir = ready[0] if wants_heir and not seat.is_spare and ready else None
    if heir is None:
        scheduler.send(WorkerGone(seat.id, seat.epoch, will_return, was_asked))
        return
    heir.take_place_of(seat)
    if seat.is_added and not seat.is_moving:
        scheduler.send(WorkerGone(seat.id, seat.epoch, True, was_asked, heir.id))
    else:  # the scheduler does not know the place: of a worker it never had, or the pool one was on its way to
        scheduler.send(WorkerGone(seat.id, seat.epoch, True, was_asked))
        scheduler.send(UseSpare(heir.id, heir.pool, heir.phases))
    log.info("a spare takes over", extra={"fields": {"spare": heir.id, "worker": seat.id}})


def _others_are_coming(house: House, gone: Seat) -> bool:
    """Requests that wait for a worker wait for any worker."""
    leaving = (SeatState.FAILED, SeatState.GONE, SeatState.DRAINING, SeatState.STOPPING)
    others = [seat for seat in house.seats.of(Role.WORKER) if seat is not gone]
    return any(seat.is_moving or seat.state not in leaving for seat in others)


def _replace_scheduler(house: House, seat: Seat) -> None:
    """Nothing of the dead scheduler is heard any more: frontends are told, workers get links to its successor."""
    for frontend in house.seats.of(Role.FRONTEND):
        if frontend.child is not None:
            frontend.child.send(SchedulerGone(seat.epoch + 1))
    house.scheduler_doorbell.close()
    house.scheduler_doorbell = Doorbell.create()
    for worker in house.seats.of(Role.WORKER):
        worker.is_added = False
        match worker.state:
            case SeatState.LINKING | SeatState.RELINKING | SeatState.LINKED | SeatState.READY:
                link_worker(house, worker, SeatState.RELINKING)
            case SeatState.DRAINING if worker.is_moving:
                worker.is_moving = False
                link_worker(house, worker, SeatState.RELINKING)
            case SeatState.DRAINING:
                stop(house, worker)  # nobody is left who would say that it is drained


def _restart_later(house: House, seat: Seat) -> None:
    pause_s = RESTART_PAUSES_S[min(max(0, seat.num_short_lives - 1), len(RESTART_PAUSES_S) - 1)]
    if seat.is_spare:
        pause_s = max(pause_s, SPARE_PAUSE_S)
    seat.state = SeatState.RESTARTING
    if pause_s > 0:
        seat.set_timer(house.loop.call_later(pause_s, lambda: _restart(house, seat)))
    else:
        _restart(house, seat)


def _restart(house: House, seat: Seat) -> None:
    """The pause is over. A machine that cannot start a process now is tried again."""
    if house.phase is Phase.STOPPING or (house.phase is Phase.DRAINING and seat.role is Role.FRONTEND):
        return  # a frontend has no socket to listen on any more
    seat.num_restarts += 1
    house.metrics.writer(0).counter("zerolane_process_restarts_total", seat.shown_role).add()
    if seat.role is Role.KEEPER:
        seat.state = SeatState.WAITING  # `gpu_pools.py` starts it when nobody uses the old memory any more
        return
    try:
        house.spawn(seat)
    except OSError as error:
        log.error(f"cannot start {seat.name}", extra={"fields": {"error": str(error)}})
        _repair(house, seat, SeatState.STARTING, is_short=True)


def _give_up(house: House, seat: Seat) -> None:
    seat.state = SeatState.FAILED
    message = f"{seat.name} ended {MAX_SHORT_LIVES} times without serving, so it is not started again"
    if seat.last_words is not None:
        message += f" ({seat.last_words.message})"
    has_frontend = any(other.state is not SeatState.FAILED for other in house.seats.of(Role.FRONTEND))
    if seat.role in (Role.SCHEDULER, Role.KEEPER) or not has_frontend:
        raise GaveUp(message)
    advice = "find the reason in the lines above, then 'zerolane scale --workers N' tries again"
    log.error(message, extra={"fields": {"advice": advice}})
