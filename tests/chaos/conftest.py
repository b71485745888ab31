"""Real servers, stopped with the test."""

from tests.support.running_server import start_server

__all__ = ["start_server"]
