"""What the output says of one input: a JSON object on a line of its own.

The fields are those of the response, after ``input``, in a stated order. A reader may rely on ``outcome``.
"""

from __future__ import annotations

import json
from typing import Any, assert_never

from .._error_info import ErrorInfo
from .._message import Aborted, AbortReason, Failed, InterruptReason, Response, Succeeded
from ._inputs import BadInput, Input
from ._json_text import JsonText


def answered(item: Input, response: Response[Any], json_text: JsonText) -> bytes:
    """The line for an input that was answered."""
    match response:
        case Succeeded(value):
            outcome, rest = "succeeded", f'"value": {json_text.of(value)}'
        case Failed(error):
            outcome, rest = "failed", f'"error": {_error(error)}'
        case Aborted(reason):
            outcome, rest = "aborted", f'"reason": "{reason.value}"'
        case _:
            assert_never(response)
    times = f'"waited": {response.waited:.6f}, "ran": {response.ran:.6f}'
    return _line(item.text, f'"id": {json.dumps(response.id)}, "outcome": "{outcome}", {rest}, {times}')


def unreadable(item: BadInput) -> bytes:
    """The line for what could not be read."""
    return _line(item.text, f'"id": null, "outcome": "failed", "error": {_error(item.error)}, {_NO_TIMES}')


def unanswered(item: Input, request_id: str, outcome: str, reason: AbortReason | InterruptReason) -> bytes:
    """The line for an input whose answer did not come, because the run was ended before."""
    said = f'"id": {json.dumps(request_id)}, "outcome": "{outcome}", "reason": "{reason.value}"'
    return _line(item.text, f"{said}, {_NO_TIMES}")


_NO_TIMES = '"waited": 0.0, "ran": 0.0'


def _error(error: ErrorInfo) -> str:
    described = {"type": error.type_name, "message": error.message, "traceback": error.traceback}
    return json.dumps(described, ensure_ascii=False)


def _line(text: str, rest: str) -> bytes:
    # Lone surrogates, from names of files that are not UTF-8, stand inside JSON strings, and the backslash escapes of
    # Python are those of JSON there.
    return f'{{"input": {text}, {rest}}}\n'.encode(errors="backslashreplace")
