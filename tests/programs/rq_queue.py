"""rq: jobs that a worker does in burst mode, one that fails and is retried, one that fails for good, one for later."""

import sys
from datetime import timedelta

import redis


def count_words(text):
    return len(text.split())


def fail_twice(url):
    if redis.Redis.from_url(url).incr("tries") < 3:
        raise ValueError("not yet")
    return "at last"


def fail():
    raise ValueError("never")


def main():
    from rq import Queue, Retry, SimpleWorker
    from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry
    from server import Server

    with Server() as server:
        db = redis.Redis.from_url(server.url)
        queue, urgent = Queue("default", connection=db), Queue("urgent", connection=db)
        jobs = [queue.enqueue("rq_queue.count_words", "word " * number) for number in range(30)]
        retried = queue.enqueue("rq_queue.fail_twice", server.url, retry=Retry(max=3))
        failed = queue.enqueue("rq_queue.fail")
        first = urgent.enqueue("rq_queue.count_words", "one two")
        after = queue.enqueue("rq_queue.count_words", "a b c", depends_on=[first, jobs[0]])
        later = queue.enqueue_in(timedelta(hours=1), "rq_queue.count_words", "x")
        assert len(queue) == 32 and after.get_status() == "deferred", (len(queue), after.get_status())
        worker = SimpleWorker([urgent, queue], connection=db)
        assert worker.work(burst=True, logging_level="CRITICAL")
        assert [job.return_value() for job in jobs] == list(range(30))
        assert retried.return_value() == "at last" and db.get("tries") == b"3"
        assert failed.is_failed and "ValueError: never" in failed.latest_result().exc_string
        assert after.return_value() == 3 and first.is_finished
        assert len(queue) == 0 and len(FinishedJobRegistry(queue=queue)) == 32
        assert FailedJobRegistry(queue=queue).get_job_ids() == [failed.id]
        assert ScheduledJobRegistry(queue=queue).get_job_ids() == [later.id]
        failed.requeue()
        assert len(queue) == 1
        later.cancel()
        assert queue.empty() == 1


if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 1)[0])
    main()
