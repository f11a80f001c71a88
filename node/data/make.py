#!/usr/bin/env python3
"""Writes tide-stations.jsonl from the harmonics file of Debian's `xtide-data`.

    apt-get install xtide-data libtcd0
    python3 make.py > tide-stations.jsonl

The same harmonics file gives the same bytes. Nothing is invented: what is not in the
harmonics file is left out. The tags are the state, its coast if it has only one,
"reference" for a station with harmonic constants of its own, and the kinds of place that
the station's name mentions.
"""

import collections
import ctypes as c
import glob
import json
import re
import sys
import unicodedata

LIBRARY = "libtcd.so.0"
HARMONICS = "/usr/share/xtide/harmonics-dwf-*-free.tcd"
REFERENCE = 1
MAX_TAGS = 6


class Header(c.Structure):
    """TIDE_STATION_HEADER of tcd.h."""

    _fields_ = [
        ("record_number", c.c_int32), ("record_size", c.c_uint32), ("record_type", c.c_uint8),
        ("latitude", c.c_double), ("longitude", c.c_double), ("reference_station", c.c_int32),
        ("tzfile", c.c_int16), ("name", c.c_char * 90),
    ]


class Record(c.Structure):
    """TIDE_RECORD of tcd.h."""

    _fields_ = [
        ("header", Header), ("country", c.c_int16), ("source", c.c_char * 90),
        ("restriction", c.c_uint8), ("comments", c.c_char * 10000), ("notes", c.c_char * 10000),
        ("legalese", c.c_uint8), ("station_id_context", c.c_char * 90),
        ("station_id", c.c_char * 90), ("date_imported", c.c_uint32), ("xfields", c.c_char * 10000),
        ("direction_units", c.c_uint8), ("min_direction", c.c_int32), ("max_direction", c.c_int32),
        ("level_units", c.c_uint8), ("datum_offset", c.c_float), ("datum", c.c_int16),
        ("zone_offset", c.c_int32), ("expiration_date", c.c_uint32),
        ("months_on_station", c.c_uint16), ("last_date_on_station", c.c_uint32),
        ("confidence", c.c_uint8), ("amplitude", c.c_float * 255), ("epoch", c.c_float * 255),
        ("min_time_add", c.c_int32), ("min_level_add", c.c_float),
        ("min_level_multiply", c.c_float), ("max_time_add", c.c_int32),
        ("max_level_add", c.c_float), ("max_level_multiply", c.c_float),
        ("flood_begins", c.c_int32), ("ebb_begins", c.c_int32),
    ]


# How names of stations end: (short form for ids, coast). Where a place has several
# coasts the file does not say which one, so none is given.
PLACES = {
    "Alabama": ("AL", "Gulf of Mexico"), "Alaska": ("AK", None), "American Samoa": ("AS", "Pacific"),
    "California": ("CA", "Pacific"), "Connecticut": ("CT", "Atlantic"),
    "DC": ("DC", None), "Delaware": ("DE", "Atlantic"), "FSM": ("FM", "Pacific"),
    "Florida": ("FL", None), "Georgia": ("GA", "Atlantic"), "Guam": ("GU", "Pacific"),
    "Hawaii": ("HI", "Pacific"), "Louisiana": ("LA", "Gulf of Mexico"), "Maine": ("ME", "Atlantic"),
    "Marianas": ("MP", "Pacific"), "Marshall Islands": ("MH", "Pacific"),
    "Maryland": ("MD", "Atlantic"), "Massachusetts": ("MA", "Atlantic"),
    "Mississippi": ("MS", "Gulf of Mexico"), "New Hampshire": ("NH", "Atlantic"),
    "New Jersey": ("NJ", "Atlantic"), "New York": ("NY", "Atlantic"),
    "North Carolina": ("NC", "Atlantic"), "Oregon": ("OR", "Pacific"),
    "Pennsylvania": ("PA", "Atlantic"), "Puerto Rico": ("PR", None),
    "Rhode Island": ("RI", "Atlantic"), "South Carolina": ("SC", "Atlantic"),
    "Texas": ("TX", "Gulf of Mexico"), "Virgin Islands": ("VI", None),
    "Virginia": ("VA", "Atlantic"), "Washington": ("WA", "Pacific"),
}

# The tags of places whose names in the file are short.
FULL = {"DC": "District of Columbia", "FSM": "Micronesia", "Marianas": "Mariana Islands"}

# Tags by words of the name, in this order.
SHAPES = [
    ("light", "lighthouse|light"), ("shipyard", "shipyard"), ("marina", "marina"),
    ("pier", "pier|wharf|dock|docks"), ("bridge", "bridge|drawbridge"), ("ferry", "ferry"),
    ("beach", "beach"), ("lagoon", "lagoon"), ("atoll", "atoll"), ("reef", "reef|rock|rocks|ledge"),
    ("inlet", "inlet"), ("harbor", "harbor|harbour|port"), ("cove", "cove"), ("bay", "bay"),
    ("sound", "sound"), ("strait", "strait|straits|narrows|passage|pass"),
    ("canal", "canal|icww|waterway"),
    ("cape", "cape|head"), ("point", "point|pt"), ("island", "island|islands|isle|key|keys"),
    ("river", "river"), ("creek", "creek|slough|bayou"), ("lake", "lake|pond"),
]


def stations():
    """Every record of the harmonics file as a dict of Python values."""
    lib = c.CDLL(LIBRARY)
    for table in ("get_level_units", "get_restriction"):
        getattr(lib, table).restype = c.c_char_p
    files = sorted(glob.glob(HARMONICS))
    if not files or not lib.open_tide_db(files[-1].encode()):
        sys.exit(f"no harmonics file at {HARMONICS}: install xtide-data")
    # libtcd may be built with a longer record than the header above: leave it room.
    room = c.create_string_buffer(c.sizeof(Record) + 4096)
    record = Record.from_buffer(room)
    number = 0
    while lib.read_tide_record(number, c.byref(record)) == number:
        yield {
            "number": number,
            "reference": record.header.record_type == REFERENCE,
            "follows": record.header.reference_station,
            "name": record.header.name.decode("latin-1"),
            "lat": record.header.latitude,
            "lon": record.header.longitude,
            "noaa": record.station_id.decode("latin-1"),
            "units": lib.get_level_units(record.level_units).decode(),
            "license": lib.get_restriction(record.restriction).decode(),
            "expired": record.expiration_date != 0 and record.header.record_type == REFERENCE,
            "level": record.datum_offset,
            "high": record.max_time_add,
        }
        number += 1


def wanted(station):
    """Tide stations in the public domain; not currents, not expired, not the second entry of a place."""
    return (
        station["units"] == "feet"
        and station["license"] == "Public domain"
        and not station["expired"]
        and "(sub)" not in station["name"]
        and "(expired" not in station["name"]
    )


def place_of(name):
    """The state or territory that the name ends with."""
    for place in sorted(PLACES, key=len, reverse=True):
        if re.search(rf"\b{place}(\s*\(\d+\))?$", name):
            return place
    return None


def tags(station, place):
    words = set(re.findall(r"[a-z]+", station["name"].lower()))
    found = [tag for tag, pattern in SHAPES if words & set(pattern.split("|"))]
    kind = "reference" if station["reference"] else None
    out = [FULL.get(place, place), PLACES[place][1] if place else None, kind, *found]
    return [tag for tag in out if tag][:MAX_TAGS]


def slug(text):
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower().replace("'", "")).strip("-")


def name_ids(chosen):
    """The shortest readable id that is unique: first part of the name, then more of it, then NOAA's number."""
    forms = []
    for station in chosen:
        place = place_of(station["name"])
        parts = re.sub(r"\s*\(\d+\)$", "", station["name"]).split(", ")
        if len(parts) > 1 and place and parts[-1] == place:
            parts.pop()
        if len(parts) > 1 and parts[0][0].isdigit():
            parts[0], parts[1] = parts[1], parts[0]  # "0.8 n.mi. above entrance, Alloway Creek"
        end = [PLACES[place][0]] if place else []
        forms.append([
            slug("-".join([parts[0], *end])),
            slug("-".join([*parts, *end])),
            slug("-".join([*parts, *end, station["noaa"]])),
        ])
    for level in range(3):
        taken = collections.Counter(form[level] for form in forms)
        forms = [form if taken[form[level]] > 1 else [form[level]] * 3 for form in forms]
    return {station["number"]: form[-1] for station, form in zip(chosen, forms)}


def minutes(time):
    """The file's hours * 100 + minutes as minutes."""
    sign = -1 if time < 0 else 1
    return sign * (abs(time) // 100 * 60 + abs(time) % 100)


def document(station, ids):
    place = place_of(station["name"])
    out = {
        "id": ids[station["number"]],
        "title": re.sub(r"\s+", " ", station["name"]).strip(),
        "tags": tags(station, place),
        "lat": round(station["lat"], 4),
        "lon": round(station["lon"], 4),
        "noaa": station["noaa"],
    }
    if station["reference"]:
        out["mean_level_ft"] = round(station["level"], 2)
    else:
        out["high_tide_min"] = minutes(station["high"])
        if station["follows"] in ids:
            out["follows"] = ids[station["follows"]]
    return out


def main():
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    chosen = [station for station in stations() if wanted(station)]
    ids = name_ids(chosen)
    documents = sorted((document(station, ids) for station in chosen), key=lambda d: d["id"])
    assert len({d["id"] for d in documents}) == len(documents), "ids are not unique"
    for doc in documents:
        print(json.dumps(doc, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
