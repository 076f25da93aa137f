"""Making many frozen objects quickly: a draft is filled as any object is, then told what it is.

attrs fills a frozen object by one call for each field, which takes more time than all else about a message.
"""

from __future__ import annotations

from collections.abc import Callable
from types import new_class
from typing import Any


def draft_of(cls: type[Any]) -> Callable[[], Any]:
    """What makes drafts of ``cls``, a class with slots: ``draft.__class__ = cls`` once all fields are set.

    Nothing is checked. Builds of Python without the GIL stop all threads for a moment when a class is assigned.

    Raises:
        TypeError: It has a slot for weak references, which two classes never have at the same place.
    """
    if "__weakref__" in cls.__slots__:
        raise TypeError(f"{cls.__name__} has a slot for weak references, so there can be no drafts of it")
    bases = getattr(cls, "__orig_bases__", cls.__bases__)
    return new_class(f"{cls.__name__}Draft", bases, exec_body=lambda body: body.update(__slots__=cls.__slots__))
