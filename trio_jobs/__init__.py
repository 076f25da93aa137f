"""Structured-concurrency jobs for Trio.

A job is an async function of a request and its resources. A processor runs it: requests come in through a channel, each
runs in a cancel scope of its own, and every response is broadcast to all who subscribed.

How the package is built, from the ground up; a file knows only files in lines above it, or to its left:

    what is seen anywhere   _record, _arguments, _randomness, _single_error, _observable, _hidden_nursery
    what travels            _errors, _error_info, _message
    what is run             _current_run, _job, _thread_job, _process_job, _resources
    what decides            _lifecycle, _settlement, _waiting_room, _deadlines, gates/: in plain functions
    the ways                _channel, _memory (requests), _ring, _subscription, _broadcast (responses)
    what runs it            _worker, _call_cycle
    what asks for it        _asking, _submission, _mapping, _client
    what holds it           _engine, _processor
    what a shell sees       cli/
    what may be named       types
"""

from ._broadcast import BroadcastReceiver, BroadcastSender, Overflow, open_broadcast_channel
from ._channel import DeadLetter, Receiver, RequestReceiver, Sender
from ._client import Client, open_client, send_receive
from ._current_run import report
from ._error_info import ErrorInfo
from ._errors import (
    CallCycle,
    ConservationError,
    Disconnected,
    JobAborted,
    JobFailed,
    JobTooSlow,
    Lagged,
    LeaseLost,
    MissingExtra,
    ProcessorStopped,
    StrayCancelled,
)
from ._job import MISS, Job, job
from ._lifecycle import ProcessorState
from ._memory import open_request_channel
from ._message import Aborted, AbortReason, Failed, Progress, Request, Response, Succeeded
from ._process_job import process_job
from ._processor import DrainReport, Processor, open_processor
from ._public_path import show_public_path
from ._randomness import Randomness, use_randomness
from ._resources import PerWorker, Shared
from ._submission import Submission
from ._thread_job import thread_job

__all__ = [
    "MISS",
    "AbortReason",
    "Aborted",
    "BroadcastReceiver",
    "BroadcastSender",
    "CallCycle",
    "Client",
    "ConservationError",
    "DeadLetter",
    "Disconnected",
    "DrainReport",
    "ErrorInfo",
    "Failed",
    "Job",
    "JobAborted",
    "JobFailed",
    "JobTooSlow",
    "Lagged",
    "LeaseLost",
    "MissingExtra",
    "Overflow",
    "PerWorker",
    "Processor",
    "ProcessorState",
    "ProcessorStopped",
    "Progress",
    "Randomness",
    "Receiver",
    "Request",
    "RequestReceiver",
    "Response",
    "Sender",
    "Shared",
    "StrayCancelled",
    "Submission",
    "Succeeded",
    "job",
    "open_broadcast_channel",
    "open_client",
    "open_processor",
    "open_request_channel",
    "process_job",
    "report",
    "send_receive",
    "thread_job",
    "use_randomness",
]

show_public_path(__name__, *(globals()[name] for name in __all__))
