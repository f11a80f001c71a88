"""Two stores sync over QUIC, edit the same note apart, and settle the conflict."""

import tempfile
from pathlib import Path

import littoral


def main(directory: Path) -> None:
    """Play a phone and a laptop in one process."""
    with (
        littoral.open(directory / "laptop") as laptop,
        littoral.open(directory / "phone") as phone,
    ):
        address = laptop.listen("127.0.0.1:0")
        laptop.trust(phone.id)
        link = phone.connect(address)

        laptop["notes"]["n1"] = {
            "title": "Tides",
            "tags": {"sea"},
            "views": littoral.Counter(1),
        }
        laptop.wait_synced(timeout=30)
        print("on the phone:", phone["notes"]["n1"])

        # Apart: both edit the same fields.
        link.set_enabled(False)
        with phone["notes"].edit("n1") as note:
            note["title"] = "High tides"
            note["tags"].add("moon")
            note["views"] += 10
        with laptop["notes"].edit("n1") as note:
            note["title"] = "Low tides"
            note["tags"].add("beach")
            note["views"] += 1

        # Together again: sets and counters merge, the title is a conflict.
        link.set_enabled(True)
        wait_equal(phone, laptop)
        print("merged:", phone["notes"]["n1"])
        for conflict in phone.conflicts():
            for candidate in conflict.candidates:
                print("  ", conflict.path, candidate.value, "by", candidate.author[:10])
            phone.resolve(conflict.collection, conflict.id, conflict.path, "Low and high tides")
        wait_equal(phone, laptop)
        print("resolved:", laptop["notes"]["n1"]["title"], laptop.conflicts())


def wait_equal(phone: littoral.Store, laptop: littoral.Store) -> None:
    """Wait until both show the same, following what arrives at each."""
    changes = [phone.changes(), laptop.changes()]
    while phone.digests("notes") != laptop.digests("notes"):
        for arriving in changes:
            arriving.next(timeout=0.1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
