"""A phone joins a hub with a ticket: from nothing to synced in one line on each side."""

import tempfile
from datetime import timedelta
from pathlib import Path

import littoral


def main(directory: Path) -> None:
    """Play the hub and the phone in one process."""
    with littoral.open(directory / "hub") as hub:
        hub["notes"]["n1"] = {"title": "Tides"}
        hub.listen("127.0.0.1:0")
        ticket = hub.invite({"notes": "write"}, name="phone", expires=timedelta(minutes=10))
        print("the ticket, to be handed over like a key:", f"{str(ticket)[:20]}..")

        # Elsewhere: the text is all that it needs.
        with littoral.join(directory / "phone", str(ticket)) as phone:
            phone.wait_synced(timeout=30)
            print("on the phone:", phone["notes"]["n1"])
            phone["notes"]["n2"] = {"title": "Ebb"}
            phone.wait_synced(timeout=30)
            print("on the hub:", hub["notes"]["n2"])

        for invite in hub.invites():
            print("the ticket is", invite.state, "by", [use.id[:10] for use in invite.used_by])
        for member in hub.members():
            print(member.name, dict(member.rights))

        # Another day: it knows where the hub is.
        with littoral.open(directory / "phone") as phone:
            for link in phone.connect_known():
                link.wait_synced(timeout=30)
            print("the phone has", len(phone["notes"]), "notes")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(temporary))
