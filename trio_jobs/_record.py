"""Records: frozen classes of attrs that take less time to import, and to make.

attrs writes the methods of each class anew and compiles them at every import, and fills a frozen object by one call for
each field. Both together were half of what importing this package took, and most of what making a message took.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import recursive_repr
from types import new_class
from typing import Any, cast

import attrs


class Record:
    """What attrs would write for a frozen class; such a class is made with ``attrs.frozen(eq=False, repr=False)``."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((self.__class__, *_values(self)))

    @recursive_repr()
    def __repr__(self) -> str:
        names = [field.name for field in _fields(self)]
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__.rpartition('>.')[2]}({fields})"


def _fields(record: object) -> tuple[attrs.Attribute[Any], ...]:
    return cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(cast("Any", record.__class__)))


def _values(record: object) -> tuple[object, ...]:
    return tuple(getattr(record, field.name) for field in _fields(record))


def draft_of(cls: type[Any]) -> Callable[[], Any]:
    """What makes drafts of ``cls``, a class with slots: ``draft.__class__ = cls`` once all fields are set.

    Filled as any object is, a draft costs a quarter of what it becomes. Nothing is checked. Builds of Python without
    the GIL stop all threads for a moment when a class is assigned.

    Raises:
        TypeError: It has a slot for weak references, which two classes never have at the same place.
    """
    if "__weakref__" in cls.__slots__:
        raise TypeError(f"{cls.__name__} has a slot for weak references, so there can be no drafts of it")
    bases = getattr(cls, "__orig_bases__", cls.__bases__)
    return new_class(f"{cls.__name__}Draft", bases, exec_body=lambda body: body.update(__slots__=cls.__slots__))
