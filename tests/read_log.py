"""Reads the log of a store by docs/FORMAT.md alone, and checks all that it says.

    python tests/read_log.py STORE [--network NAME] [--json]

Prints the transactions in the order of the log. Shares no code with Littoral: if it and the page
disagree with a log that Littoral wrote, the page is wrong. It checks headers, checksums and
positions, that nothing but zeros follows, names, the form of every transaction to the last byte
(canonical numbers, keys and values), hashes, signatures, the chain of each author, and that what
a transaction depends on comes before it.

Needs the packages blake3 and cryptography, and zstandard before Python 3.14.
"""

import argparse
import json
import struct
import sys
import zlib
from base64 import b32encode
from itertools import pairwise
from pathlib import Path

try:
    from blake3 import blake3
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError as missing:
    print(f"{missing}: pip install blake3 cryptography", file=sys.stderr)
    sys.exit(3)

try:
    from compression import zstd
except ImportError:
    zstd = None
    try:
        import zstandard
    except ImportError as missing:
        print(f"{missing}: pip install zstandard", file=sys.stderr)
        sys.exit(3)

MAX_COLLECTION_BYTES = 128
MAX_ID_BYTES = 512
MAX_TXN_BYTES = 16_777_216
MAX_SEQ = 70_368_744_177_663
MAX_TXN_OPS = 1_048_576
MAX_VALUE_BYTES = 1_048_576
MAX_KEY_BYTES = 65_536
MAX_DEPTH = 64
MAX_LOG_BATCH_BYTES = 16_842_752

TRANSACTION, BARRIER, MARK, PACKED = 1, 2, 3, 4


class WrongError(ValueError):
    """Bytes that are not as the page says."""


def context(name, data):
    return blake3(data, derive_key_context=name).digest()


def want(holds, what):
    if not holds:
        raise WrongError(what)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        want(self.at + size <= len(self.data), "it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def leb128(self, bits):
        number, shift = 0, 0
        while True:
            byte = self.u8()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                want(byte != 0 or shift == 7, "a number in a longer form than needed")
                want(number < 1 << bits, "a number is too large")
                return number

    def uint(self):
        return self.leb128(64)

    def int(self):
        number = self.leb128(128)
        return number >> 1 ^ -(number & 1)

    def bytes(self):
        return self.take(self.uint())

    def text(self):
        return self.bytes().decode()

    def origin(self):
        return self.take(36)

    def end(self):
        want(self.at == len(self.data), "bytes after its end")


# Values: MessagePack in its shortest form.


def number_in(reader, size, more_than):
    number = int.from_bytes(reader.take(size), "big")
    want(number > more_than, "a number or length in a longer form than needed")
    return number


def value(reader, depth=0):
    want(depth <= MAX_DEPTH, "nested too deep")
    tag = reader.u8()
    if tag <= 0x7F:
        return tag
    if tag >= 0xE0:
        return tag - 0x100
    if tag & 0xF0 == 0x80:
        return members(reader, tag & 0x0F, depth)
    if tag & 0xF0 == 0x90:
        return items(reader, tag & 0x0F, depth)
    if tag & 0xE0 == 0xA0:
        return reader.take(tag & 0x1F).decode()
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
    if tag in (0xC4, 0xC5, 0xC6):
        size = 1 << tag - 0xC4
        return reader.take(number_in(reader, size, {1: -1, 2: 0xFF, 4: 0xFFFF}[size]))
    if tag in (0xC7, 0xC8, 0xC9):
        size = 1 << tag - 0xC7
        length = number_in(reader, size, {1: -1, 2: 0xFF, 4: 0xFFFF}[size])
        want(length not in (1, 2, 4, 8, 16), "a length in a longer form than needed")
        return extension(reader, length)
    if tag == 0xCB:
        (number,) = struct.unpack(">d", reader.take(8))
        want(number - number == 0 and str(number) != "-0.0", "NaN, an infinity or -0.0")
        return number
    if 0xCC <= tag <= 0xCF:
        size = 1 << tag - 0xCC
        return number_in(reader, size, {1: 0x7F, 2: 0xFF, 4: 0xFFFF, 8: 0xFFFF_FFFF}[size])
    if 0xD0 <= tag <= 0xD3:
        size = 1 << tag - 0xD0
        number = int.from_bytes(reader.take(size), "big", signed=True)
        want(number < {1: -32, 2: -0x80, 4: -0x8000, 8: -0x8000_0000}[size], "a longer form")
        return number
    if 0xD4 <= tag <= 0xD8:
        return extension(reader, 1 << tag - 0xD4)
    if tag in (0xD9, 0xDA, 0xDB):
        size = 1 << tag - 0xD9
        return reader.take(number_in(reader, size, {1: 31, 2: 0xFF, 4: 0xFFFF}[size])).decode()
    if tag in (0xDC, 0xDD):
        size = 2 << tag - 0xDC
        return items(reader, number_in(reader, size, {2: 15, 4: 0xFFFF}[size]), depth)
    if tag in (0xDE, 0xDF):
        size = 2 << tag - 0xDE
        return members(reader, number_in(reader, size, {2: 15, 4: 0xFFFF}[size]), depth)
    raise WrongError(f"a value begins with {tag:02x}")


def items(reader, count, depth):
    return [value(reader, depth + 1) for _ in range(count)]


def members(reader, count, depth):
    found, last = {}, None
    for _ in range(count):
        name = value(reader, depth)
        want(isinstance(name, str), "an object key that is not text")
        want(last is None or last.encode() < name.encode(), "object keys are not sorted and unique")
        last, found[name] = name, value(reader, depth + 1)
    return found


class Time(int):
    """Microseconds since 1970."""


class Opaque(tuple):
    """A value of a kind that this version does not know."""


def extension(reader, length):
    kind = int.from_bytes(reader.take(1), "big", signed=True)
    content = reader.take(length)
    if kind != 1:
        return Opaque((kind, content))
    want(length == 8, "a time that has not 8 bytes")
    return Time(int.from_bytes(content, "big", signed=True))


def whole_value(data):
    want(len(data) <= MAX_VALUE_BYTES, "a value over the limit")
    reader = Reader(data)
    found = value(reader)
    reader.end()
    return found


# Keys.

REGISTER, MAP, SET, ELEMENT, COUNTER, FIELD = 1, 2, 3, 4, 5, 0x10
SLOTS = {REGISTER: "", MAP: "{}", SET: "set", COUNTER: "+"}


def fields_of(key):
    """The names on the way, and what follows them."""
    names, rest = [], key
    while rest and (rest[0] > 0x0F or rest[0] == 0):
        want(rest[0] == FIELD, "an unknown component of a key")
        end = rest.find(0)
        want(end > 0, "a name without end")
        name, escaped = b"", iter(rest[1:end])
        for byte in escaped:
            if byte == 1:
                byte = {1: 0, 2: 1}.get(next(escaped, None))
                want(byte is not None, "a malformed escape")
            name += bytes([byte])
        names.append(name.decode())
        rest = rest[end + 1 :]
    want(len(names) <= MAX_DEPTH and len(key) - len(rest) <= MAX_KEY_BYTES, "too deep or too long")
    return names, rest


def key_of(data):
    """Where a cell lies, as text, and its slot."""
    names, rest = fields_of(data)
    want(rest, "it names no slot")
    slot, content = rest[0], rest[1:]
    want(names or slot == MAP or slot > COUNTER, "a document itself can only be a map")
    place = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    if slot == ELEMENT:
        element = whole_value(content)
        want(not isinstance(element, (list, dict, Opaque)), "an element that is not a scalar")
        return f"{place} {shown(element)}", slot
    want(slot > COUNTER or not content, "bytes after its slot")
    return f"{place} {SLOTS.get(slot, '?')}".strip() or "/", slot


def prefix_of(data):
    names, rest = fields_of(data)
    if rest in (b"", bytes([ELEMENT])):
        place = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
        return (place or "/") + (" elements" if rest else " and below")
    return key_of(data)[0]


def shown(found):
    def plain(found):
        if isinstance(found, Time):
            return {"$time": int(found)}
        if isinstance(found, Opaque):
            return {"$opaque": [found[0], found[1].hex()]}
        if isinstance(found, bytes):
            return {"$bytes": found.hex()}
        if isinstance(found, list):
            return [plain(item) for item in found]
        if isinstance(found, dict):
            return {name: plain(item) for name, item in found.items()}
        return found

    return json.dumps(plain(found), ensure_ascii=False)


# Transactions.


class Count:
    """Operations of a transaction, and dots that its clears name."""

    total = 0


def transaction(content):
    want(len(content) <= MAX_TXN_BYTES, "a transaction over the limit")
    reader = Reader(content)
    version = reader.u8()
    want(version == 1, f"a transaction of version {version}")
    author, number, before = reader.origin(), reader.u64(), reader.take(32)
    want(
        0 < number <= MAX_SEQ and (number == 1) == (before == bytes(32)),
        "number and hash contradict",
    )
    time = reader.u64()
    others = [reader.origin() for _ in range(reader.uint())]
    want(others == sorted(set(others)) and author not in others, "origins are not in order")
    named, used = [author, *others], set()

    def origin():
        at = reader.uint()
        want(at < len(named), "an origin that is not there")
        used.add(at)
        return named[at]

    def seen():
        dot = (origin(), reader.uint())
        want(dot[1] > 0 and (dot[0] != author or dot[1] < number), "it can't have seen that")
        return dot

    deps, needs = [], []
    for _ in range(reader.uint()):
        dep = (origin(), reader.uint(), reader.take(16))
        want(dep[0] != author and dep[1] > 0 and (not deps or deps[-1][0] < dep[0]), "dependencies")
        deps.append(dep)
    documents, count = {}, Count()
    for _ in range(reader.uint()):
        id = reader.text()
        want(1 <= len(id.encode()) <= MAX_ID_BYTES, "an id over the limit")
        last = max(documents, key=str.encode, default=None)
        want(last is None or last.encode() < id.encode(), "ids are not in order")
        documents[id] = []
        operations = reader.uint()
        want(operations > 0, "a document without operations")
        for _ in range(operations):
            documents[id].append(operation(reader, origin, seen, number, author, needs, count))
        count.total += operations
    want(count.total <= MAX_TXN_OPS, "more operations than a transaction may have")
    reader.end()
    want(used | {0} == set(range(len(named))), "an origin that is listed and not named")
    return {
        "origin": author,
        "number": number,
        "before": before,
        "ms": time >> 16,
        "deps": deps,
        "needs": needs,
        "documents": documents,
    }


def operation(reader, origin, seen, number, author, needs, count):
    kind = reader.u8()
    if kind == 0:
        (place, slot), content = key_of(reader.bytes()), reader.bytes()
        want(slot != COUNTER, "a put on a counter")
        if slot == REGISTER:
            return f"put {place} = {shown(whole_value(content))}"
        want(slot > COUNTER or not content, "a marker or element with a value")
        return f"put {place}"
    if kind == 1:
        place = prefix_of(reader.bytes())
        dots = [seen() for _ in range(reader.uint())]
        count.total += len(dots)
        want(all(a[0] < b[0] for a, b in pairwise(dots)), "a clear is not in order")
        needs += dots
        return f"clear {place} up to {', '.join(map(dot_text, dots))}"
    if kind == 2:
        place, slot = key_of(reader.bytes())
        birth, total, by = reader.uint(), reader.int(), reader.int()
        want(slot == COUNTER and 1 <= birth <= number and -(1 << 63) <= by < 1 << 63, "an add")
        if birth < number:
            after, _ = reader.uint(), reader.int()
            want(birth <= after < number, "an add after another one")
        return f"add {place} {by:+d}, {total} since {birth}"
    want(kind == 3, f"an operation {kind}")
    place, slot = key_of(reader.bytes())
    row = seen()
    newest, total = reader.uint(), reader.int()
    want(slot == COUNTER and newest >= row[1], "a settle")
    want(row[0] != author or newest < number, "it settles what it can't have seen")
    needs += [row, (row[0], newest)]
    return f"settle {place} of {dot_text(row)} at {newest}: {total}"


def node_text(origin):
    key = b32encode(origin[:32]).decode().lower().rstrip("=")[:10]
    incarnation = int.from_bytes(origin[32:], "big")
    return key if incarnation == 0 else f"{key}.{incarnation}"


def dot_text(dot):
    return f"{node_text(dot[0])}:{dot[1]}"


class Checker:
    """What the transactions before say about the next one."""

    def __init__(self, network):
        self.network = context("littoral v1 network", network.encode())[:16]
        # By collection and origin: hashes by number. A log that was pruned begins anywhere, and
        # a collection that was left or joined goes on anywhere.
        self.hashes, self.whole = {}, True

    def take(self, name, data):
        content, signature = data[:-64], data[-64:]
        txn = transaction(content)
        origin, number = txn["origin"], txn["number"]
        inside = context("littoral v1 transaction content", content)
        scope = self.network + bytes([len(name)]) + name.encode()
        hash = context(
            "littoral v1 transaction", scope + origin + number.to_bytes(8, "big") + inside
        )
        try:
            Ed25519PublicKey.from_public_bytes(origin[:32]).verify(signature, hash)
        except InvalidSignature:
            raise WrongError(
                "its signature is wrong (is it of another network? --network)"
            ) from None
        held = self.hashes.setdefault(name, {}).setdefault(origin, {})
        if held:
            want(number == max(held) + 1, f"number {number} follows {max(held)}")
            want(txn["before"] == held[number - 1], "it does not name the hash of the one before")
        elif self.whole:
            want(number == 1, f"the first of its author has number {number}")
        for dep_origin, dep_number, short in txn["deps"]:
            known = self.hashes[name].get(dep_origin, {}).get(dep_number)
            want(known is not None or not self.whole, "it depends on one that is not before it")
            want(known is None or known[:16] == short, "it depends on another one")
        for needed in txn["needs"]:
            before = needed[1] in self.hashes[name].get(needed[0], {}) or needed[0] == origin
            want(before or not self.whole, "it names one that is not before it")
        held[number] = hash
        return txn

    def barrier(self, name, data):
        """The state changed without records: what was before says less about what follows."""
        if data == b"left":
            self.hashes.pop(name, None)
            return "left"
        want(data.startswith(b"joined"), "an unknown barrier")
        reader = Reader(data[6:])
        server, ids = reader.take(32), [reader.text() for _ in range(reader.uint())]
        reader.end()
        self.hashes.pop(name, None)
        self.whole = False
        return f"joined {len(ids)} documents of {node_text(server + bytes(4))}"


# The log.


def records(folder):
    """(name of the file, offset, kind, collection, contents) of each record."""
    files = sorted(folder.glob("*.log"))
    want(files, "no segments")
    position = int(files[0].stem, 16)
    for file in files:
        data = file.read_bytes()
        magic, version, zero, base, zeros, crc = struct.unpack("<8sIIQII", data[:32])
        want(magic == b"LITLOG\r\n" and zero == zeros == 0, f"{file.name}: no segment")
        want(crc == zlib.crc32(data[:28]), f"{file.name}: the header's checksum is wrong")
        want(version in (1, 2), f"{file.name} has version {version}")
        want(file.name == f"{base:016x}.log" and base == position, f"{file.name}: its base")
        at = 32
        while len(data) - at >= 28 and data[at : at + 4] == b"\xb7LOG":
            length, own, durable, crc = struct.unpack("<IQQI", data[at + 4 : at + 28])
            body = data[at + 28 : at + 28 + length]
            if own != position or len(body) < length:
                break
            if crc != zlib.crc32(body, zlib.crc32(data[at + 4 : at + 24])):
                break
            want(1 <= length <= MAX_LOG_BATCH_BYTES and durable <= own, f"{file.name} at {at}")
            yield from records_of(file.name, version, at, body)
            at += 28 + length
            position += 28 + length
        rest = data[at:]
        last = file is files[-1]
        want(last or not rest, f"{file.name}: something follows, and so does a segment")
        if rest.strip(b"\0"):
            print(
                f"{file.name}: {len(rest)} bytes of a write that was never synced", file=sys.stderr
            )


def records_of(file, version, batch, body):
    at, unpacked = 0, 0
    while at < len(body):
        kind, name_length, length, distance = struct.unpack("<BBII", body[at : at + 10])
        want(distance == 28 + at, f"{file} at {batch}: a record's distance")
        want(name_length <= MAX_COLLECTION_BYTES, f"{file} at {batch}: a name over the limit")
        name = body[at + 10 : at + 10 + name_length].decode()
        contents = body[at + 10 + name_length : at + 10 + name_length + length]
        want(len(contents) == length, f"{file} at {batch}: a record is longer than its batch")
        if kind == PACKED:
            want(version >= 2, f"{file} at {batch}: a packed record, and version {version}")
            kind, contents = TRANSACTION, unpack(contents, f"{file} at {batch}")
        unpacked += 10 + name_length + len(contents)
        want(unpacked <= MAX_LOG_BATCH_BYTES, f"{file} at {batch}: it holds more than a batch may")
        yield file, batch + 28 + at, kind, name, contents
        at += 10 + name_length + length


def unpack(contents, place):
    """A transaction that was packed: its length, and one Zstandard frame."""
    length, frame = int.from_bytes(contents[:4], "big"), contents[4:]
    want(len(contents) > 4, f"{place}: a packed record that is empty")
    want(length <= MAX_LOG_BATCH_BYTES, f"{place}: a packed record over the limit")
    unpacker = zstd.ZstdDecompressor() if zstd else zstandard.ZstdDecompressor().decompressobj()
    try:
        found = unpacker.decompress(frame)
    except (zstd or zstandard).ZstdError as error:
        raise WrongError(f"{place}: a packed record: {error}") from None
    want(unpacker.eof and not unpacker.unused_data, f"{place}: it is not one frame")
    want(len(found) == length, f"{place}: it unpacks to {len(found)} bytes, and states {length}")
    return found


def read(store, network):
    mark = (store / "littoral.store").read_text()
    want(mark == "littoral store, format 1\n", f"not a store of format 1: {mark!r}")
    checker = Checker(network)
    first = min((store / "log").glob("*.log"), default=None)
    checker.whole = first is not None and int(first.stem, 16) == 0
    for file, offset, kind, name, contents in records(store / "log"):
        try:
            if kind == TRANSACTION:
                yield name, checker.take(name, contents)
            elif kind == BARRIER:
                yield name, {"note": checker.barrier(name, contents)}
            elif kind == MARK:
                want(len(contents) == 12, "an export mark has 12 bytes")
            else:
                raise ValueError(f"a record of kind {kind}")
        except ValueError as error:
            raise WrongError(f"{file} at {offset}: {error}") from None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--network", default="default")
    parser.add_argument("--json", action="store_true", help="one transaction a line")
    args = parser.parse_args()
    count = 0
    try:
        for name, txn in read(args.store, args.network):
            if "note" in txn:
                print(
                    json.dumps({"collection": name, **txn})
                    if args.json
                    else f"{name} {txn['note']}"
                )
                continue
            count += 1
            if args.json:
                origin, number = txn["origin"], txn["number"]
                line = {"collection": name, "origin": origin.hex(), "number": number}
                print(json.dumps({**line, "documents": txn["documents"]}))
                continue
            print(f"{name} {dot_text((txn['origin'], txn['number']))} at {txn['ms']} ms")
            for id, operations in txn["documents"].items():
                print("".join(f"  {id}: {operation}\n" for operation in operations), end="")
    except WrongError as error:
        sys.exit(f"wrong: {error}")
    print(f"{count} transactions are as docs/FORMAT.md says", file=sys.stderr)


if __name__ == "__main__":
    main()
