"""Types that you are given, or may give, and seldom have to name: for annotations."""

from ._asking import CallOptions, Responses
from ._broadcast import BroadcastReceiverStatistics, BroadcastStatistics
from ._error_info import FrameInfo
from ._job import Miss
from ._memory import MemoryRequestReceiver, MemoryRequestSender, RequestChannel, RequestChannelStatistics
from ._processor import ProcessorOptions, ProcessorStatistics
from ._public_path import show_public_path
from ._resources import Resources
from ._submission import ProgressReceiver

__all__ = [
    "BroadcastReceiverStatistics",
    "BroadcastStatistics",
    "CallOptions",
    "FrameInfo",
    "MemoryRequestReceiver",
    "MemoryRequestSender",
    "Miss",
    "ProcessorOptions",
    "ProcessorStatistics",
    "ProgressReceiver",
    "RequestChannel",
    "RequestChannelStatistics",
    "Resources",
    "Responses",
]

show_public_path(__name__, *(globals()[name] for name in __all__))
