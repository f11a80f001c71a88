"""Discovery on a LAN: machines that know each other's keys and no addresses, and that move."""

import machines
from node import Node, doc, until

PORT = 4433


class Lan:
    """Two members of one network and a stranger, each on a machine of its own."""

    def __init__(self, binary, work):
        self.wire = machines.Wire()
        self.nodes = {}
        try:
            for number, name in enumerate(("quay", "boat", "stranger"), 21):
                namespace = self.wire.add(name, number)
                node = Node(binary, name, work / name, namespace, f"0.0.0.0:{PORT}")
                node.options = ["--discover"]
                self.nodes[name] = node
            # By their keys alone; the stranger knows theirs, and they do not know it.
            quay, boat, stranger = self.nodes.values()
            quay.peers, boat.peers = [boat.key], [quay.key]
            stranger.peers = [quay.key, boat.key]
            for node in self.nodes.values():
                node.start()
        except BaseException:
            self.close()
            raise

    def put(self, name, ident):
        status, _ = self.nodes[name].client().ask("PUT", doc("notes", ident), {"x": 1})
        if status != 200:
            raise RuntimeError(f"{name} does not take {ident}: {status}")

    def has(self, name, ident):
        return self.nodes[name].client().ask("GET", doc("notes", ident))[0] == 200

    def links(self, name):
        """The keys of the nodes with which one is linked, and the states of those links."""
        running = self.nodes[name].client().get("/status")["running"]
        return {(link["peer"], link["state"]) for link in running["links"]}

    def close(self):
        for node in self.nodes.values():
            node.kill()
        self.wire.close()


def discovery(checks, binary, work):
    lan = Lan(binary, work)
    try:
        steps(lan, checks)
    except Exception as error:
        checks.note("discovery", [f"{type(error).__name__}: {error}"])
        for node in lan.nodes.values():
            print(f"--- the end of {node.name}'s log\n{node.last_words()}")
    finally:
        lan.close()


def steps(lan, checks):
    lan.put("quay", "found")
    until("the boat to find the quay", lambda: lan.has("boat", "found"))
    checks.note("two machines that know no address find each other", [])
    for name, number in (("quay", 31), ("boat", 32), ("quay", 21)):
        other = "boat" if name == "quay" else "quay"
        lan.wire.address(name, number)
        lan.put(name, f"from-{name}-{number}")
        until(f"the {other} to follow", lambda: lan.has(other, f"from-{name}-{number}"))
        lan.put(other, f"to-{name}-{number}")
        until(f"the {name} to hear", lambda: lan.has(name, f"to-{name}-{number}"))
    checks.note("they follow each other to other addresses", [])
    known = {lan.nodes[name].key for name in ("quay", "boat")}
    linked = {peer for name in ("quay", "boat") for peer, _ in lan.links(name)}
    wrong = [] if linked == known else [f"links with {linked}"]
    connected = [link for link in lan.links("stranger") if link[1] == "connected"]
    checks.note("a stranger on the LAN is linked with nobody", wrong + connected)
