"""A gateway that buffers readings while it is offline, and hands them on when it is not.

Run it: python examples/python/sensor_gateway.py
"""

import math
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import littoral

SENSORS = ["quay", "buoy", "lock"]
START = datetime(2026, 11, 28, 6, 0, tzinfo=timezone.utc)


def measure(sensor: str, minute: int) -> dict[str, object]:
    """Stand in for the hardware: a tide of twelve hours."""
    level = 2.0 + 1.5 * math.sin(2 * math.pi * minute / 720 + SENSORS.index(sensor))
    return {"sensor": sensor, "at": START + timedelta(minutes=minute), "level": round(level, 3)}


def record(gateway: littoral.Store, minutes: range) -> None:
    """Write a minute's readings as one transaction, and keep a count of them."""
    for minute in minutes:
        with gateway.write() as tx:
            for sensor in SENSORS:
                tx["readings"][f"{sensor}-{minute:06}"] = measure(sensor, minute)
                tx["sensors"].increment(sensor, "readings")
                tx["sensors"].merge(sensor, {"last": measure(sensor, minute)})


def main() -> None:
    """Record, hand on, lose the link, record, hand on what was missed."""
    directory = Path(tempfile.mkdtemp())
    with (
        littoral.open(directory / "gateway") as gateway,
        littoral.open(directory / "station") as station,
    ):
        address = station.listen("127.0.0.1:0")
        station.trust(gateway.id)
        # Readings are many: a week of them is kept for a station that is away.
        gateway.set_log_budget("readings", bytes=64 << 20, days=7)

        link = gateway.connect(address)
        record(gateway, range(60))
        link.wait_synced()
        print(f"online: the station has {len(station['readings'])} readings")

        link.set_enabled(False)
        record(gateway, range(60, 120))
        # Meanwhile the station calibrates a sensor; the gateway counts on. Neither is lost.
        station["sensors"].set("buoy", "offset", -0.02)
        print(
            f"offline: the gateway has {len(gateway['readings'])}, "
            f"the station {len(station['readings'])}"
        )

        link.set_enabled(True)
        gateway.wait_synced()
        buoy = station["sensors"]["buoy"]
        print(f"online again: the station has {len(station['readings'])} readings")
        print(f"buoy: {buoy['readings']} readings, offset {buoy['offset']}")
        assert gateway["sensors"]["buoy"] == buoy
        last = max(reading["at"] for reading in station["readings"].scan(prefix="buoy-"))
        print(f"the last of the buoy is of {last:%H:%M}")


if __name__ == "__main__":
    main()
