"""Values that Python has no type of its own for."""

from dataclasses import dataclass
from functools import total_ordering
from operator import index
from typing import SupportsIndex


@total_ordering
class Counter:
    """A counter: what several replicas add to it concurrently is summed.

    Behaves as the int it shows. Adding gives a new counter, so ``note["views"] += 2`` and
    putting ``note`` back adds 2 to whatever the counter is by then.

    >>> notes["n1"] = {"views": littoral.Counter(0)}
    >>> with notes.edit("n1") as note:
    ...     note["views"] += 2
    >>> notes["n1"]["views"] == 2
    True
    """

    __slots__ = ("_value",)
    __module__ = "littoral"
    _value: int

    def __init__(self, value: SupportsIndex = 0) -> None:
        self._value = index(value)

    @property
    def value(self) -> int:
        """The sum."""
        return self._value

    def __int__(self) -> int:
        return self._value

    def __index__(self) -> int:
        return self._value

    def __bool__(self) -> bool:
        return self._value != 0

    def __add__(self, by: SupportsIndex) -> "Counter":
        return Counter(self._value + by.__index__()) if _whole(by) else NotImplemented

    __radd__ = __add__

    def __sub__(self, by: SupportsIndex) -> "Counter":
        return Counter(self._value - by.__index__()) if _whole(by) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Counter):
            return self._value == other._value
        return self._value == other if isinstance(other, (int, float)) else NotImplemented

    def __lt__(self, other: "Counter | int | float") -> bool:
        if isinstance(other, Counter):
            return self._value < other._value
        return self._value < other if isinstance(other, (int, float)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Counter({self._value})"

    def __format__(self, spec: str) -> str:
        return format(self._value, spec)

    def __reduce__(self) -> tuple[type["Counter"], tuple[int]]:
        return Counter, (self._value,)


def _whole(number: object) -> bool:
    return hasattr(number, "__index__")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time outside of the years that a datetime has: microseconds since 1970 in UTC."""

    micros: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A kind of value that this version does not know: kept and forwarded as it is."""

    kind: int
    data: bytes


Moment.__module__ = Opaque.__module__ = "littoral"
