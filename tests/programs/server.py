"""A Waterwheel of its own for a program: on a free port of the loopback interface, ended by its pid."""

import socket
import subprocess
import sys
import tempfile
import time


class Server:
    """`with Server() as server:` runs the binary that is named first on the command line."""

    def __init__(self, *options):
        self.binary = sys.argv[1]
        self.options = options

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory(prefix="waterwheel-program.")
        self.log = open(self.folder.name + "/log", "wb")
        self.process = subprocess.Popen(
            [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder.name, "--save", ""]
            + list(self.options),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.__exit__(RuntimeError)
        raise SystemExit("the server does not listen")

    def __exit__(self, error=None, *_):
        ended = self.process.poll()
        if ended is None:
            self.process.terminate()
            try:
                status = self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                status = self.process.wait()
        self.log.close()
        if error or ended is not None or status != 0:
            with open(self.folder.name + "/log", errors="replace") as log:
                sys.stderr.write("the server's log ends with:\n" + "".join(log.readlines()[-15:]))
        self.folder.cleanup()
        if not error and (ended is not None or status != 0):
            raise SystemExit("the server did not end well")


def until(what, holds, seconds=20):
    """Waits until something holds, or fails."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
