"""What the output says of one input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_jobs import Aborted, AbortReason, ErrorInfo, Failed, Response, Succeeded
from trio_jobs._message import InterruptReason
from trio_jobs.cli import _record
from trio_jobs.cli._inputs import BadInput, Input
from trio_jobs.cli._json_text import JsonText

ITEM = Input("a", '"a"', "names.txt:1", 2)
TIMES: dict[str, Any] = {"waited": 0.25, "ran": 1.5}
ERROR = {"type": "ValueError", "message": "no", "traceback": "ValueError: no"}


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Succeeded([1], id="x1", **TIMES), {"outcome": "succeeded", "value": [1]}),
        (Failed(ErrorInfo("ValueError", "no"), id="x1", **TIMES), {"outcome": "failed", "error": ERROR}),
        (Aborted(AbortReason.DEADLINE, id="x1", **TIMES), {"outcome": "aborted", "reason": "deadline"}),
    ],
)
def test_an_answer_is_an_object_with_its_input(response: Response[Any], said: dict[str, Any]) -> None:
    """Which input, which request, what came of it, how long it took."""
    line = _record.answered(ITEM, response, JsonText(lambda _: None))

    assert json.loads(line) == {"input": "a", "id": "x1", **said, **TIMES}
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


def test_what_could_not_be_read_is_a_failure_without_an_id() -> None:
    """No request was made for it."""
    line = _record.unreadable(BadInput(ErrorInfo("ValueError", "no"), '"{"', "a.jsonl:1", 2))

    assert json.loads(line) == {
        "input": "{",
        "id": None,
        "outcome": "failed",
        "error": ERROR,
        "waited": 0,
        "ran": 0,
    }


def test_what_was_not_answered_says_why() -> None:
    """The reason is that of the framework."""
    line = _record.unanswered(ITEM, "x1", "interrupted", InterruptReason.DRAIN)

    assert json.loads(line) == {
        "input": "a",
        "id": "x1",
        "outcome": "interrupted",
        "reason": "drain",
        "waited": 0,
        "ran": 0,
    }


def test_a_name_that_is_no_utf8_can_be_read_back() -> None:
    """Python's lone surrogates become JSON's escapes."""
    item = Input("\udcff", '"\udcff"', "\udcff", 1)

    line = _record.answered(item, Succeeded("\udcfe", id="x1"), JsonText(lambda _: None))

    assert json.loads(line)["input"] == "\udcff"
    assert json.loads(line)["value"] == "\udcfe"


def test_an_input_stands_there_as_it_was_typed() -> None:
    """A number keeps its zeros, and what the job does to the body does not show."""
    body = {"price": 1.0}
    item = Input(body, '{"price": 1.00}', "a.jsonl:1", 2)
    body.clear()

    assert _record.answered(item, Succeeded(None, id="x1"), JsonText(lambda _: None)).startswith(
        b'{"input": {"price": 1.00}, "id"'
    )
