"""What decides when a request may start: one gate a file, each usable alone or with others."""

from .._public_path import show_public_path
from .._waiting_room import Gate, Hold
from ._concurrency import Concurrency

__all__ = ["Concurrency", "Gate", "Hold"]

show_public_path(__name__, Concurrency, Gate, Hold)
