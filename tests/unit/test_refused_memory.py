"""Where the system gives a stream no more memory or threads, it goes on with those that it has."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

LIMITED = """
import os, resource, sys, threading, time
from fsspec_gp_plugin.storage.contract import Capabilities, ObjectInfo, PartWriter, Store
from fsspec_gp_plugin.transfer.download import Download, DownloadSettings
from fsspec_gp_plugin.transfer.upload import Upload, UploadSettings

stack, part, room = (int(number) << 20 for number in sys.argv[2:])
size = os.fstat(0).st_size

class Slow(Store, PartWriter):
    # Needs no memory for what it is given, and gives zeros.
    capabilities = Capabilities(parallel_parts=True, parallel_reads=True)
    written = 0

    def begin(self, key):
        return self

    def write(self, number, data):
        time.sleep(0.05)
        self.written += len(data)

    def complete(self, size):
        assert self.written == size
        return ObjectInfo("key", size)

    def abort(self):
        pass

    def fetch(self, key, into):
        return ObjectInfo(key, size), self.read(None, 0, into)

    def read(self, info, start, into):
        time.sleep(0.05)
        yield len(into)

threading.stack_size(stack)
notes = []
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
if sys.argv[1] == "upload":
    sent = Upload(Slow(), "key", UploadSettings(part, 4, 8 * part), notes.append, log=notes.append).run(0)
else:
    sent = Download(Slow(), 1, DownloadSettings(part, 4, 8 * part), log=notes.append).write_whole("key")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert sent.size == size
print(*notes, sep="\\n", file=sys.stderr)
"""


def move(way: str, size: int, *, stack: int, part: int, room: int) -> str:
    """Move so many MiB through a process that gets no more than `room`; what it tells. Sizes are MiB."""
    with tempfile.TemporaryFile() as source:
        source.truncate(size << 20)
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, way, str(stack), str(part), str(room)],
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={
                "PYTHONDONTWRITEBYTECODE": "1",
                "MALLOC_ARENA_MAX": "1",
            },  # the heap of a thread would reserve what the test counts
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("way", ["upload", "download"])
def test_a_buffer_that_the_system_refuses_is_waited_for_and_told_once(way: str) -> None:
    told = move(way, 130, stack=1, part=32, room=56)
    assert (
        told == "the system refuses memory for another buffer of 32,768 KiB, so the stream goes on with 1, and slower"
    )


def test_a_stream_fails_that_gets_no_buffer_at_all() -> None:
    with pytest.raises(AssertionError, match="MemoryError"):
        move("upload", 130, stack=1, part=32, room=24)


@pytest.mark.parametrize("way", ["upload", "download"])
def test_a_thread_that_the_system_refuses_is_done_without(way: str) -> None:
    assert move(way, 8, stack=64, part=1, room=112) == ""


FEW_THREADS = """
import resource, threading, time
from fsspec_gp_plugin.backups.parallel import run_each, run_together

def work(number=0):
    time.sleep(0.02)  # so that one thread has not done all before the next is asked for
    return number

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
threading.stack_size(512 << 20)  # there is memory for no more than three such threads
print(len(list({})))
"""


@pytest.mark.parametrize("call", ["run_each(work, iter(range(20)), 16)", "run_together(*[work] * 20)"])
def test_commands_that_ask_a_store_for_much_at_once_go_on_with_the_threads_that_they_get(call: str) -> None:
    line = [sys.executable, "-W", "ignore", "-c", FEW_THREADS.format(call)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr
