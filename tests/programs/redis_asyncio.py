"""redis-py's asyncio client, in both protocols: a queue with a stream and a group, a limiter, a chat."""

import asyncio

import redis.asyncio as redis
from redis.exceptions import ResponseError
from server import Server


async def worker(db, name, done, ended):
    """Reads what is new, then takes over what others left for too long."""
    while not ended.is_set():
        for _, entries in _streams(await db.xreadgroup("workers", name, {"jobs": ">"}, count=5, block=50)):
            for number, job in entries:
                if job["name"] == "crash" and name == "w0":
                    return  # without having acknowledged it
                done.append(job["name"])
                await db.xack("jobs", "workers", number)
        _, entries, *_ = await db.xautoclaim("jobs", "workers", name, min_idle_time=100)
        for number, job in entries:
            done.append(job["name"])
            await db.xack("jobs", "workers", number)


def _streams(reply):
    """In RESP3 the streams are a map of lists of entries."""
    if isinstance(reply, dict):
        return [(name, [entry for batch in batches for entry in batch]) for name, batches in reply.items()]
    return reply


async def job_queue(db):
    await db.xgroup_create("jobs", "workers", id="0", mkstream=True)
    try:
        await db.xgroup_create("jobs", "workers")
        raise AssertionError("a second group of this name")
    except ResponseError as error:
        assert str(error).startswith("BUSYGROUP"), error
    done = []
    await db.xadd("jobs", {"name": "crash"})
    # Alone at first, so that it is this one that meets it.
    ended = asyncio.Event()
    await asyncio.wait_for(worker(db, "w0", done, ended), 10)
    assert done == [] and (await db.xpending("jobs", "workers"))["pending"] == 1
    workers = [asyncio.create_task(worker(db, f"w{number}", done, ended)) for number in range(1, 4)]
    for number in range(100):
        await db.xadd("jobs", {"name": f"job:{number}"}, maxlen=1000, approximate=True)
    await until("all is done", lambda: _is(len(done) >= 101))
    await until("all is acknowledged", lambda: _none_pending(db))
    assert not any(task.done() for task in workers)
    # Not by cancel(), which the client's own handling of a time-out now and then swallows.
    ended.set()
    await asyncio.gather(*workers)
    assert sorted(done) == sorted([f"job:{number}" for number in range(100)] + ["crash"])


async def _is(value):
    return value


async def _none_pending(db):
    return (await db.xpending("jobs", "workers"))["pending"] == 0


async def until(what, holds, seconds=20):
    for _ in range(seconds * 100):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


async def limiter(db):
    allow = db.register_script(
        "local used = redis.call('INCR', KEYS[1]) "
        "if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end "
        "return used <= tonumber(ARGV[1])")
    answers = await asyncio.gather(*(allow(keys=["limit"], args=[10, 100]) for _ in range(30)))
    assert sum(bool(answer) for answer in answers) == 10, answers
    await until("the window is over", lambda: _gone(db))
    assert await allow(keys=["limit"], args=[10, 100])


async def _gone(db):
    return await db.exists("limit") == 0


async def chat(db):
    async def listen(pubsub, count):
        heard = []
        async for message in pubsub.listen():
            if message["type"].endswith("message"):
                heard.append((message["channel"], message["data"]))
                if len(heard) == count:
                    return heard

    rooms = [db.pubsub() for _ in range(5)]
    for room in rooms:
        await room.subscribe("room")
        await room.psubscribe("roo?")
    listeners = [asyncio.create_task(listen(room, 40)) for room in rooms]
    await until("all are there", lambda: _subscribed(db))
    counts = [await db.publish("room", number) for number in range(20)]
    assert counts == [10] * 20, counts
    for heard in await asyncio.wait_for(asyncio.gather(*listeners), 10):
        assert heard == [("room", str(number // 2)) for number in range(40)]
    for room in rooms:
        await room.aclose()


async def _subscribed(db):
    return await db.pubsub_numsub("room") == [("room", 5)] and (await db.execute_command("CLIENT", "LIST")).count("psub=1") == 5


async def main(port):
    for protocol in (2, 3):
        db = redis.Redis(port=port, protocol=protocol, decode_responses=True, max_connections=50)
        await db.flushall()
        await job_queue(db)
        await limiter(db)
        await chat(db)
        popped = asyncio.create_task(db.bzpopmin(["late", "later"], timeout=5))
        await asyncio.sleep(0.05)
        await db.zadd("later", {"b": 2.5, "a": 1.5})
        assert list(await popped) == ["later", "a", 1.5], await popped
        async with db.pipeline(transaction=True) as pipe:
            replies = await pipe.hset("h", mapping={"f": 1}).hgetall("h").smembers("none").execute()
        assert replies == [1, {"f": "1"}, set()], replies
        await db.aclose()


with Server() as server:
    asyncio.run(main(server.port))
