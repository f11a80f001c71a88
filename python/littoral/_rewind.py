"""What of a store goes back: checkpoints, reverting to them, undo and replay."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, overload

from littoral import _native
from littoral._collection import Path
from littoral._records import (
    AutomaticCheckpoints,
    Checkpoint,
    CheckpointCost,
    Difference,
    Hold,
    Replay,
    Reverted,
    Undone,
)
from littoral._tape import Past, RevertPlan

__all__ = ["Tape"]


class Tape:
    """A part of `littoral.Store`."""

    __slots__ = ()

    _store: _native.Store

    @property
    def _tape(self) -> _native.Tape:
        return self._store.tape()

    def checkpoint(self, label: str) -> Checkpoint:
        """Make a checkpoint: a moment that can be read, compared with and gone back to.

        It is durable when it returns, and made in one moment, whatever the size of the store. What
        is changed from then on is kept as it was, until `delete_checkpoint`. A label has 1 to 128
        bytes and no control characters.

        >>> store.checkpoint("before the import").label
        'before the import'

        Raises:
            InvalidInputError: there is one with this label.
            LimitError: there are 256, or the label is too long.

        """
        return Checkpoint(**self._tape.checkpoint(label))

    def checkpoints(self) -> list[Checkpoint]:
        """List the checkpoints, in the order in which they were made."""
        return [Checkpoint(**one) for one in self._tape.checkpoints()]

    def checkpoint_costs(self) -> list[CheckpointCost]:
        """List the checkpoints with what each costs. Reads all that is kept for them."""
        found = self._tape.checkpoint_costs()
        return [CheckpointCost(Checkpoint(**one.pop("checkpoint")), **one) for one in found]

    def delete_checkpoint(self, label: str) -> None:
        """Delete a checkpoint, and what was kept for it alone.

        `NotFoundError` if there is none with this label.
        """
        self._tape.delete_checkpoint(label)

    def automatic_checkpoints(self) -> AutomaticCheckpoints | None:
        """Give what is kept of checkpoints that the store makes by itself.

        `None` if that was never said: then it makes none.
        """
        found = self._tape.automatic()
        return None if found is None else AutomaticCheckpoints(found[0], _span(found[1]))

    def set_automatic_checkpoints(self, keep: int = 8, age: timedelta = timedelta(days=7)) -> None:
        """Say how many checkpoints the store makes by itself and keeps, and for how long.

        Before a revert, a bundle and a snapshot of a link, and when `automatic_checkpoint` asks for
        one; 0 is none. It is kept in the store. Those made by hand never go by themselves.
        """
        self._tape.set_automatic(keep, max(age // timedelta(milliseconds=1), 0))

    def automatic_checkpoint(self, why: str) -> Checkpoint | None:
        """Make a checkpoint as the store does by itself, if one is needed.

        It is called ``auto: `` with ``why`` and the time.
        `None` if none is needed: none are to be kept, the store holds nothing, or nothing has
        changed since the newest checkpoint.
        """
        made = self._tape.automatic_checkpoint(why)
        return None if made is None else Checkpoint(**made)

    def at(self, label: str) -> Past:
        """Give the store as it was at a checkpoint, to be read.

        >>> mark = store.checkpoint("before the import")
        >>> notes["n1"] = {"title": "mistaken"}
        >>> with store.at("before the import") as past:
        ...     past["notes"]["n1"]
        Document({'title': 'Low tide'})

        `NotFoundError` if there is no such checkpoint.
        """
        return Past(self._tape.at(label))

    def diff(
        self, label: str, other: str | None = None, *, collection: str | None = None
    ) -> Iterator[Difference]:
        """Give what changed between a checkpoint and now, document by document.

        Collection by collection, in the order of names and ids, as it is at this moment.

        >>> mark = store.checkpoint("before the import")
        >>> notes.set("n1", "title", "mistaken")
        >>> for found in store.diff("before the import"):
        ...     print(found.id, [(field.path, field.before, field.after) for field in found.fields])
        n1 [(('title',), 'Low tide', 'mistaken')]

        Args:
            label: the checkpoint.
            other: another checkpoint, to be looked at instead of now; may be the earlier one.
            collection: only this one.

        Raises:
            NotFoundError: there is no such checkpoint.

        """
        return self._tape.diff(label, other, collection)

    @overload
    def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: Literal[False] = False,
    ) -> Reverted: ...
    @overload
    def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: Literal[True],
    ) -> RevertPlan: ...
    def revert(
        self,
        label: str,
        collection: str | None = None,
        id: str | None = None,
        path: Path | None = None,
        *,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> Reverted | RevertPlan:
        """Bring documents back to what they showed at a checkpoint, by new transactions.

        Only what differs is written, field by field; what was not there then is deleted. It is
        durable when it returns, and replicates like any edit, so it undoes what others wrote, too,
        if it is here. It goes in batches: if it is cut short, what was done stays, and doing it
        again goes on. Make a checkpoint before, to be able to come back.

        >>> mark = store.checkpoint("before the import")
        >>> notes.set("n1", "title", "mistaken")
        >>> store.revert("before the import").documents
        1
        >>> notes["n1"]["title"]
        'Low tide'

        Args:
            label: the checkpoint.
            collection: only this one.
            id: only this document of it.
            path: only this field of that.
            by: the key of a node: only what that did since. What others have changed after it, or
                beside it, is kept, and told (`Difference.kept`, `Reverted.kept`).
            force: with ``by``, also what others have changed since.
            dry_run: write nothing, and give what would be written.

        Raises:
            NotFoundError: there is no such checkpoint; with ``by``, the log no longer holds all
                since.
            UnknownCollectionError: the collection named was left since: sync it anew before.
            LimitError: more differs in one document than fits into a transaction; do it field by
                field.
            ForbiddenError: this node may not write there.
            NestedWriteError: this thread has a transaction open.

        """
        if dry_run:
            return RevertPlan(self._tape.revert_plan(label, collection, id, path, by, force))
        return Reverted(**self._tape.revert(label, collection, id, path, by, force))

    def undo(
        self, collection: str | None = None, *, force: bool = False, dry_run: bool = False
    ) -> Undone:
        """Take back what this node wrote last, by one new transaction. It needs no checkpoint.

        What others have changed since is kept, and told. To undo again brings back what was undone.

        >>> del notes["n1"]
        >>> [found.id for found in store.undo().changes]
        ['n1']
        >>> notes["n1"]["title"]
        'Low tide'

        Args:
            collection: what was written last to this one, and there alone; else what was written
                last, in all collections that it was written to together.
            force: also what others have changed since.
            dry_run: write nothing, and give what would be written.

        Raises:
            NotFoundError: this node has written nothing, or the log no longer holds it or what it
                replaced.
            LimitError: what it replaced is more than fits into a transaction.
            NestedWriteError: this thread has a transaction open.

        """
        return Undone(*self._tape.undo(collection, force, dry_run))

    def rollback_hold(self, label: str, collection: str | None = None) -> tuple[Hold, ...]:
        """Show a collection, or all, as it was at a checkpoint, with what this node wrote since.

        Nothing is undone. Until `resume` what others wrote is kept and not shown, reads and writes
        go on over what is shown, and the collection is not exchanged with peers. Where somebody
        else had changed the same field as is written meanwhile, the two are a conflict afterwards.
        It is durable; who follows `changes` is told to read the documents anew.

        Raises:
            NotFoundError: there is no such checkpoint, or the log no longer holds what was written
                here since.
            InvalidInputError: the collection is held already, was left since, or has forked.
            NestedWriteError: this thread has a transaction open.

        """
        return tuple(Hold(**held) for held in self._tape.hold(label, collection))

    def resume(self, collection: str | None = None) -> tuple[Hold, ...]:
        """End what `rollback_hold` began, for one collection or for all; give what was held."""
        return tuple(Hold(**held) for held in self._tape.resume(collection))

    def holds(self) -> tuple[Hold, ...]:
        """The collections that are held back to a checkpoint."""
        return tuple(Hold(**held) for held in self._tape.holds())

    def rollback_replay(
        self, label: str, *, scratch: str | os.PathLike[str] | None = None
    ) -> Replay:
        """Go back to a checkpoint, apply the log after it again beside the store, and compare.

        What comes out must be what the store holds. Documents that were damaged unnoticed are put
        right where the digest of their collection proves what was replayed; if anything else
        differs, the store stays as it was.

        Args:
            label: the checkpoint.
            scratch: the directory for what does not fit into 64 MiB of memory; the system's if not
                given.

        Raises:
            NotFoundError: there is no such checkpoint, or the log no longer reaches back to it.
            InvalidInputError: something stands between that replay does not cross.
            AbortedError: a damaged document was written meanwhile: replay again.

        """
        told, found = self._tape.rollback_replay(label, scratch)
        return Replay(**told, differences=found)


def _span(ms: int) -> timedelta:
    try:
        return timedelta(milliseconds=ms)
    except OverflowError:
        return timedelta.max
