"""The exceptions: one base, one class for each kind of error, builtin ones where expected."""

import builtins


class Error(Exception):
    """Any error of Littoral. Its text says what was wanted, what was found and what to do."""

    __module__ = "littoral"

    def __init_subclass__(cls) -> None:
        """Show the classes where users import them from."""
        cls.__module__ = "littoral"

    def __str__(self) -> str:
        # KeyError would show the repr of its argument.
        return Exception.__str__(self)


class InvalidInputError(Error, ValueError):
    """An argument is not of the required form. Nothing was changed."""


class FieldTypeError(Error, TypeError):
    """A value has a type that can't be stored, or an argument the wrong type."""


class OverflowError(InvalidInputError, builtins.OverflowError):
    """An integer needs more than 64 bits; the text names the field. Nothing was changed."""


class LimitError(InvalidInputError):
    """An argument is larger or deeper than a limit allows. Nothing was changed."""


class WrongKindError(Error, TypeError):
    """The field holds another kind: a counter where a number was put. Nothing was changed."""


class NotFoundError(Error, KeyError):
    """There is no such document, or the log no longer reaches back to the position."""


class UnknownCollectionError(Error, KeyError):
    """The store has no such collection."""


class VersionMismatchError(Error):
    """The document can't be merged with what was read; read it again. Nothing was changed."""


class LockedError(Error):
    """The store is open already, here or in another process."""


class NotAStoreError(Error):
    """The directory holds something that is not a store."""


class FormatTooNewError(Error):
    """A file or a peer speaks a newer format than this build."""


class CorruptError(Error):
    """The files contradict themselves. The store does not open; nothing was changed."""


class StorageError(Error, OSError):
    """The operating system refused a file operation."""


class DiskFullError(StorageError):
    """The disk is full. The transaction was not committed."""


class PoisonedError(Error):
    """An earlier commit or read failed: the store refuses writes until it is opened again."""


class ClosedError(Error):
    """The store, the transaction or the link is closed."""


class ForkError(Error, RuntimeError):
    """This process was forked while the store was open: open it after the fork."""


class NestedWriteError(Error, RuntimeError):
    """This thread has a transaction open, and would wait for itself."""


class TimeoutError(Error, builtins.TimeoutError):
    """The time allowed ran out. What was under way may still complete."""


class AbortedError(Error):
    """The write was given up; everything in it was rolled back."""


class InvalidTransactionError(Error):
    """A transaction of a peer or a file is invalid. Nothing of it was applied."""


class MissingDependencyError(Error):
    """A transaction builds on others that are not here. Nothing of it was applied."""


class HistoryForkedError(Error):
    """Two different transactions have one name; the second one was not applied.

    A copy of a store wrote beside it, or the store was rolled back.
    """


class ForbiddenError(Error):
    """A right is missing: this node, or an author, may not do that there."""


class PassphraseError(Error):
    """The node's key is encrypted, and the passphrase is missing or wrong."""


class NetworkError(Error, ConnectionError):
    """The network failed: address, connection, handshake."""


class RefusedError(NetworkError):
    """The peer is not known, or it refused us."""


class ProtocolError(NetworkError):
    """The peer broke the protocol."""


class InternalError(Error):
    """A mistake of ours: please report it."""
