"""Documents as they are handed out: dicts that remember the version they were read at."""

from collections.abc import Mapping
from typing import Any

from littoral._native import Version

__all__ = ["Document", "Version"]


class Document(dict[str, Any]):
    """A document as it was read: a dict that remembers what its reader has thereby seen.

    Change it and put it back: only the difference to what was read is written, so that what
    sync or another thread brought in between stays. After the put it shows what the store
    shows. Put under another id, it is a plain dict. ``{**document}`` and ``dict(document)``
    forget the version; ``copy()``, ``|`` and pickling keep it.

    >>> note = notes["n1"]
    >>> note.id, note.collection, note
    ('n1', 'notes', Document({'title': 'Low tide'}))
    >>> notes.set("n1", "from", "elsewhere")
    >>> note["title"] = "Ebb"
    >>> notes["n1"] = note
    >>> notes["n1"]
    Document({'from': 'elsewhere', 'title': 'Ebb'})
    """

    __slots__ = ("_version",)
    __module__ = "littoral"
    _version: Version | None

    def __new__(cls, *args: Any, **kwargs: Any) -> "Document":
        """Make one that was not read anywhere."""
        document = super().__new__(cls)
        document._version = None
        return document

    @property
    def id(self) -> str | None:
        """The id it was read under."""
        return self._version.id if self._version else None

    @property
    def collection(self) -> str | None:
        """The name of the collection it was read from."""
        return self._version.collection if self._version else None

    @property
    def version(self) -> Version | None:
        """What its reader had seen; opaque."""
        return self._version

    def copy(self) -> "Document":
        """Give a shallow copy, with the version."""
        made = Document(self)
        made._version = self._version
        return made

    __copy__ = copy

    def __or__(self, other: Mapping[str, Any]) -> "Document":  # type: ignore[override]
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __repr__(self) -> str:
        return f"Document({super().__repr__()})"
