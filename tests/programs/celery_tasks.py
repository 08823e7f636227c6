"""Celery, Redis as its broker and for its results: tasks, retries, delays, a chain, a chord, a priority, a revoke."""

import os
import subprocess
import sys
import time

from celery import Celery, chain, chord, group

url = os.environ.get("PROGRAM_URL", "redis://127.0.0.1:1/0")
app = Celery("celery_tasks", broker=url, backend=url)
app.conf.update(broker_connection_retry_on_startup=True, result_expires=60, worker_hijack_root_logger=False,
                task_track_started=True)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def fail():
    raise ValueError("never")


def tasks():
    assert add.delay(2, 3).get(timeout=30) == 5
    assert [result.get(timeout=30) for result in [add.delay(n, n) for n in range(50)]] == [2 * n for n in range(50)]
    assert chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=30) == 10
    assert group(add.s(n, 1) for n in range(10))().get(timeout=30) == list(range(1, 11))
    assert chord((add.s(n, n) for n in range(10)), total.s())().get(timeout=30) == 90
    assert flaky.delay().get(timeout=30) == 2
    failed = fail.delay()
    try:
        failed.get(timeout=30)
        raise AssertionError("it has to fail")
    except ValueError as error:
        assert str(error) == "never" and failed.failed()
    began = time.monotonic()
    assert add.apply_async((1, 1), countdown=1).get(timeout=30) == 2
    assert time.monotonic() - began >= 0.9, "it was too early"
    [answer] = app.control.ping(timeout=5, limit=1)
    assert list(answer.values()) == [{"ok": "pong"}], answer
    late = add.apply_async((1, 1), countdown=600)
    app.control.revoke(late.id)
    add.delay(1, 1).forget()


def main():
    from server import Server

    with Server() as server:
        environment = dict(os.environ, PROGRAM_URL=server.url, PYTHONPATH=os.path.dirname(os.path.abspath(__file__)))
        log = open(server.folder.name + "/celery", "w+")
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-P", "solo", "-l", "WARNING"],
            env=environment, cwd=server.folder.name, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        app.conf.update(broker_url=server.url, result_backend=server.url)
        try:
            tasks()
            assert worker.poll() is None, "the worker has ended"
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-2000:])
            raise
        finally:
            worker.terminate()
            try:
                worker.wait(20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            log.close()


if __name__ == "__main__":
    main()
