"""A service on asyncio: jobs come in as documents, and are worked on as they come.

Run it: python examples/python/async_service.py
"""

import asyncio
import tempfile
from pathlib import Path

from littoral import aio


async def work(store: aio.Store, name: str, done: asyncio.Event, jobs: int) -> None:
    """Follow the feed, and work on each job that is open."""
    finished = 0
    async for change in store.changes(since=0):
        if change.collection != "jobs":
            continue
        job = await store["jobs"].get(change.id)
        if job is None or job["state"] != "open":
            continue
        # Both together: whoever sees the result sees the job done.
        async with store.write() as tx:
            await tx["results"].put(change.id, {"square": job["number"] ** 2, "by": name})
            await tx["jobs"].set(change.id, "state", "done")
        finished += 1
        if finished == jobs:
            done.set()
            return


async def main() -> None:
    """Hand out jobs at one end, and let the other work."""
    directory = Path(tempfile.mkdtemp())
    async with (
        await aio.open(directory / "office") as office,
        await aio.open(directory / "worker") as worker,
    ):
        await office.trust(worker.id)
        await worker.connect(await office.listen("127.0.0.1:0"))
        done = asyncio.Event()
        working = asyncio.create_task(work(worker, "worker", done, jobs=10))
        for number in range(10):
            await office["jobs"].put(f"job-{number}", {"number": number, "state": "open"})
        await asyncio.wait_for(done.wait(), timeout=60)
        await working
        await worker.wait_synced()
        async for result in office["results"].scan():
            print(f"{result.id}: {result['square']}, by {result['by']}")
        states = {job["state"] async for job in office["jobs"]}
        print(f"all jobs are {states.pop()}")


if __name__ == "__main__":
    asyncio.run(main())
