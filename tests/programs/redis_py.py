"""redis-py, in both protocols: a queue of jobs, a cache on the client's side, a rate limiter, a chat.

What a job queue needs: workers that wait, a list of what is in work, retries, and jobs that are due later.
"""

import json
import threading
import time
import uuid

import redis
from redis.cache import CacheConfig
from server import Server, until


class Jobs:
    """Jobs wait in a list; those in work lie in another, so that a worker that dies loses none."""

    TRIES = 3

    def __init__(self, db):
        self.db = db

    def add(self, name, delay=0):
        job = json.dumps({"id": uuid.uuid4().hex, "name": name, "tries": 0})
        if delay:
            self.db.zadd("jobs:later", {job: time.time() + delay})
        else:
            self.db.lpush("jobs:wait", job)

    def move_due(self):
        """Two workers may try at once: the transaction lets only one of them move a job."""
        with self.db.pipeline() as pipe:
            try:
                pipe.watch("jobs:later")
                due = pipe.zrange("jobs:later", "-inf", time.time(), byscore=True, offset=0, num=10)
                if not due:
                    return
                pipe.multi()
                pipe.zrem("jobs:later", *due)
                pipe.lpush("jobs:wait", *due)
                pipe.execute()
            except redis.WatchError:
                pass

    def work(self, number, stop):
        while not stop.is_set():
            self.move_due()
            raw = self.db.blmove("jobs:wait", "jobs:work", timeout=0.05, src="RIGHT", dest="LEFT")
            if raw is None:
                continue
            job = json.loads(raw)
            with self.db.pipeline(transaction=True) as pipe:
                pipe.lrem("jobs:work", 1, raw)
                if job["name"].startswith("flaky") and job["tries"] < Jobs.TRIES - 1:
                    job["tries"] += 1
                    pipe.zadd("jobs:later", {json.dumps(job): time.time() + 0.02})
                elif job["name"].startswith("broken"):
                    pipe.xadd("jobs:dead", {"job": raw, "worker": number}, maxlen=100)
                else:
                    pipe.hset("jobs:done", job["name"], job["tries"])
                    pipe.incr(f"jobs:by:{number}")
                pipe.execute()


def job_queue(db):
    jobs, stop = Jobs(db), threading.Event()
    workers = [threading.Thread(target=jobs.work, args=(number, stop)) for number in range(4)]
    for worker in workers:
        worker.start()
    try:
        for number in range(200):
            jobs.add(f"plain:{number}")
        for number in range(20):
            jobs.add(f"flaky:{number}")
            jobs.add(f"late:{number}", delay=0.2)
        jobs.add("broken:0")
        assert db.hexists("jobs:done", "late:0") is False, "it is not due yet"
        until("all jobs are done", lambda: db.hlen("jobs:done") == 240 and db.xlen("jobs:dead") == 1)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    done = db.hgetall("jobs:done")
    assert all(tries == ("2" if name.startswith("flaky") else "0") for name, tries in done.items()), done
    assert db.exists("jobs:wait", "jobs:work", "jobs:later") == 0
    assert sum(int(db.get(key)) for key in db.scan_iter("jobs:by:*")) == 240
    [(_, dead)] = db.xrange("jobs:dead")
    assert json.loads(dead["job"])["name"] == "broken:0"


def client_side_cache(port):
    cached = redis.Redis(port=port, protocol=3, decode_responses=True, cache_config=CacheConfig(max_size=100))
    other = redis.Redis(port=port)
    other.hset("user:1", mapping={"name": "Ada", "visits": 1})
    cache = cached.get_cache()
    reads = lambda: cached.info("commandstats")["cmdstat_hgetall"]["calls"]
    assert cached.hgetall("user:1") == {"name": "Ada", "visits": "1"}
    before = reads()
    for _ in range(50):
        assert cached.hgetall("user:1")["visits"] == "1"
    assert reads() == before and cache.size == 1, "it was answered from the cache"
    other.hincrby("user:1", "visits")
    until("the change is seen", lambda: cached.hgetall("user:1")["visits"] == "2")
    other.set("gone", "soon", px=60)
    assert cached.get("gone") == "soon"
    until("what expired is gone", lambda: cached.get("gone") is None)
    assert cached.mget("user:none", "other:none") == [None, None]
    other.flushall()
    until("nothing is left after FLUSHALL", lambda: cached.hgetall("user:1") == {})
    cached.close()


LIMIT = """
local now, window, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used >= most then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, tonumber(first[2]) + window - now}
end
redis.call('ZADD', KEYS[1], now, ARGV[4])
redis.call('PEXPIRE', KEYS[1], window)
return {1, most - used - 1}
"""


def rate_limiter(db):
    allow = db.register_script(LIMIT)
    ask = lambda now: allow(keys=["limit:ada"], args=[now, 1000, 5, uuid.uuid4().hex])
    assert [ask(1000 + n) for n in range(5)] == [[1, 4], [1, 3], [1, 2], [1, 1], [1, 0]]
    assert ask(1500) == [0, 500], "the sixth waits until the first leaves the window"
    db.script_flush()
    assert ask(2000) == [1, 0], "redis-py loads the script again"
    assert 0 < db.pttl("limit:ada") <= 1000
    pipe = db.pipeline()
    for n in range(3):
        allow(keys=["limit:bob"], args=[n, 1000, 2, n], client=pipe)
    assert pipe.execute() == [[1, 1], [1, 0], [0, 998]]
    try:
        db.eval("return redis.call('INCR', KEYS[1])", 1, "limit:ada")
        raise AssertionError("INCR of a sorted set")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error), error
    db.function_load("#!lua name=counters\nredis.register_function('bump', function(keys, args)\n"
                     "return redis.call('INCRBY', keys[1], args[1]) end)", replace=True)
    assert db.fcall("bump", 1, "counter", 5) == 5


def chat(db, sharded):
    publish = (lambda room, text: db.spublish(room, text)) if sharded else db.publish
    said, rooms = [], db.pubsub()
    (rooms.ssubscribe if sharded else rooms.subscribe)(**{"room:1": lambda m: said.append((m["type"], m["data"]))})
    if not sharded:
        rooms.psubscribe(**{"room:*": lambda m: said.append((m["type"], m["channel"], m["data"]))})
    get = rooms.get_sharded_message if sharded else rooms.get_message

    def heard(number):
        get(timeout=0.05)
        return len(said) >= number

    names = db.pubsub_shardchannels if sharded else db.pubsub_channels
    until("the room is open", lambda: get(timeout=0.05) is None and names() == ["room:1"])
    for number in range(20):
        assert publish("room:1", f"hello {number}") == (1 if sharded else 2)
    until("all is heard", lambda: heard(20 if sharded else 40))
    if sharded:
        assert said == [("smessage", f"hello {number}") for number in range(20)]
    else:
        assert said[:2] == [("message", "hello 0"), ("pmessage", "room:1", "hello 0")], said[:2]
        assert publish("room:2", "only the pattern") == 1
        until("the pattern", lambda: heard(41))
        rooms.ping()
    (rooms.sunsubscribe if sharded else rooms.unsubscribe)()
    get(timeout=0.2)
    assert publish("room:1", "nobody") == (0 if sharded else 1)
    rooms.close()


with Server() as server:
    for protocol in (2, 3):
        db = redis.Redis(port=server.port, protocol=protocol, decode_responses=True)
        assert db.ping()
        db.flushall()
        job_queue(db)
        rate_limiter(db)
        chat(db, sharded=False)
        chat(db, sharded=True)
        with db.lock("lock", timeout=2):
            assert not db.lock("lock", timeout=2).acquire(blocking=False)
        db.close()
    client_side_cache(server.port)
