"""Hands a call to the warm process of this host, the agent, and ends as the call did.

client.c in Python, for installations without a compiled one. gpbackup starts a process per table, so this runs without
site and loads only _socket that an interpreter has not loaded anyway. What the agent can't or won't take runs alone: by
the package, in this very process, with all that the caller gave us as it was.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import _thread
import posix
import sys
import time

VERSION = "0.1.0"  # the package's, which would have to be imported; a test compares the two
COMMANDS = (
    "backup_data", "restore_data", "restore_data_subset", "backup_file", "restore_file",
    "setup_plugin_for_backup", "cleanup_plugin_for_backup", "setup_plugin_for_restore", "cleanup_plugin_for_restore",
)  # fmt: skip
STOPPING = {_signal.SIGTERM: "SIGTERM", _signal.SIGINT: "SIGINT", _signal.SIGHUP: "SIGHUP"}
LONGEST_REQUEST = 262144
PLACE = ("/proc/self/ns/mnt", "/proc/self/ns/net", "/proc/self/ns/user", "/")  # as in environment.py
PACKAGES = ""  # the directory of a bundle's, whose interpreter is the host's; the launcher sets it
ANSWER_SECONDS = 2  # from connect() until the call is taken
SILENCE_SECONDS = 120.0  # a sign of life comes every 20 s
LAST_SECONDS = 1.8  # within two seconds of a signal the process has ended
WRITE_SECONDS = 0.2
# As in gzip_header.py: for a stream without a first byte for which gprestore would wait for ever.
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
HEADER_SECONDS = 0.3

header: list[bytes] = []


class Alone(Exception):
    """The call is not for the agent, or was not taken: nothing of it was used up."""


def main(args: list[str]) -> None:
    """Never returns."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        # Python's own way with Ctrl-C is a traceback.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    before, term = _signal.pthread_sigmask(_signal.SIG_BLOCK, ()), _signal.getsignal(_signal.SIGTERM)
    try:
        handed = handed_over(args)
    except (Alone, OSError):
        handed = None
    status = status_by(*handed, args[0]) if handed else -1
    if status < 0:
        _signal.signal(_signal.SIGTERM, term)  # the caller may ignore it; the others that it ignores were left so
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        run_alone(args)
    posix._exit(status)


def run_alone(args: list[str]) -> None:
    """Never returns: the package takes the place of this program."""
    how = ["-I", "-S", "-X", "utf8", PACKAGES] if PACKAGES else ["-I", "-X", "utf8", "-m", "fsspec_gp_plugin"]
    try:
        posix.execv(sys.executable, [sys.executable, *how, *args])
    except OSError as error:
        fail(f"can't run {sys.executable}: {posix.strerror(error.errno or 0)}", 2)


def needs_gzip_header(args: list[str]) -> bool:
    """Whether it restores gpbackup_CONTENT_TIMESTAMP.gz or gpbackup_CONTENT_TIMESTAMP_OID.gz."""
    name, _, suffix = args[2].rpartition("/")[2].rpartition(".")
    words = name.split("_")
    return (
        (args[0], suffix, words[0]) == ("restore_data", "gz", "gpbackup")
        and len(words) in (3, 4)
        and words[1].removeprefix("-").isdecimal()
        and len(words[2]) == 14
        and all(word.isdecimal() for word in words[2:])
    )


def handed_over(args: list[str]) -> tuple[_socket.socket, list[int], int]:
    """The connection to an agent that took the call, the signals that count, now blocked, and the token."""
    if len(args) < 3 or args[0] not in COMMANDS or "--help" in args or "-h" in args:
        raise Alone
    # A closed one can't be handed over, and ours would take its number; to a directory the launcher says no.
    if any(posix.fstat(fd).st_mode & 0o170000 == 0o040000 for fd in (0, 1, 2)):
        raise Alone
    message = request(args)
    until = time.monotonic() + ANSWER_SECONDS
    agent = connected()
    end_by(until, agent)
    agent.sendall(message)
    end_by(until, agent)
    if agent.recv(1) != b"T":
        raise Alone
    taken = [s for s in STOPPING if s == _signal.SIGTERM or _signal.getsignal(s) != _signal.SIG_IGN]
    # Blocked, even an ignored one is kept for the handler to come.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, taken)
    # Who reads it, the agent or we, runs the call, and nobody else does.
    token = posix.eventfd(1, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2, token))
    end_by(until, agent)
    agent.sendmsg([b"G"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
    if needs_gzip_header(args):
        header.append(GZIP_HEADER)
    return agent, taken, token


def request(args: list[str]) -> bytes:
    """The whole call but its descriptors."""
    mask = posix.umask(0o077)  # there is no other way to ask for it
    posix.umask(mask)
    fields = [VERSION.encode(), b"%o" % mask, posix.getcwdb(), b"".join(map(identity, PLACE)), b"%d" % len(args)]
    fields += [arg.encode("utf-8", "surrogateescape") for arg in args]
    # The server's COPY statement may be of any length.
    fields += [name + b"=" + value for name, value in posix.environ.items() if name != b"GP_QUERY_STRING"]
    body = b"\0".join(fields) + b"\0"
    if len(body) > LONGEST_REQUEST:
        raise Alone
    return b"FGP2" + len(body).to_bytes(4, "little") + body


def identity(path: str) -> bytes:
    """What tells a namespace or directory from others; the same for all where there is none."""
    try:
        status = posix.stat(path)
    except OSError:
        return b"0:0 "
    return b"%x:%x " % (status.st_dev, status.st_ino)


def connected() -> _socket.socket:
    """A connection to an agent of our own user."""
    home = posix.environ.get(b"HOME", b"")
    if not home.startswith(b"/"):
        raise Alone
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    folder = posix.open(home + b"/.fsspec_gp_plugin/agent", flags)
    status = posix.fstat(folder)
    if status.st_uid != posix.geteuid() or status.st_mode & 0o077:
        raise Alone
    host = posix.uname().nodename.encode("utf-8", "surrogateescape")[:32]
    installed = posix.stat(f"{PACKAGES}/../../../bin" if PACKAGES else sys.executable.rpartition("/")[0] + "/")
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # With a timeout of Python's, connect() would not wait for room in the queue of an agent that many call at once.
    agent.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, ANSWER_SECONDS.to_bytes(8, sys.byteorder) + bytes(8))
    # By way of the open directory, which nobody can exchange and whose path is short.
    agent.connect(b"/proc/self/fd/%d/%b-%x-%x" % (folder, host, installed.st_dev, installed.st_ino))
    peer = agent.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if int.from_bytes(peer[4:8], sys.byteorder) != posix.geteuid():
        raise Alone
    return agent


def end_by(moment: float, agent: _socket.socket) -> None:
    """Let what is done next on the connection end by then."""
    agent.settimeout(max(0.0, moment - time.monotonic()))


def status_by(agent: _socket.socket, taken: list[int], token: int, command: str) -> int:
    """The exit status of a call that was handed over, whatever happens to it; -1 where it can run alone."""
    close_inherited(agent.fileno(), token)
    got = listening(taken, agent, command)
    agent.settimeout(SILENCE_SECONDS)
    is_last = silent = False
    while True:
        try:
            byte = agent.recv(1)
        except OSError as error:
            byte, silent = b"", isinstance(error, TimeoutError)
        if is_last and byte:
            return byte[0]
        if byte == b"B":
            header.clear()
        elif byte not in (b".", b"E"):
            # What comes from now on is for whoever runs the call next; what came has been heard.
            _signal.pthread_sigmask(_signal.SIG_BLOCK, taken)
            if got:
                fail(f"{command}: interrupted by {STOPPING[got[0]]}", 128 + got[0])
            # A file is still whole, whatever became of the call.
            if is_taken_back(token) or command in ("backup_file", "restore_file"):
                return -1
            why = "does not answer" if silent else "ended before the command did"
            fail(f"{command}: the agent {why}; run it again", 1)
        is_last = byte == b"E"


def listening(taken: list[int], agent: _socket.socket, command: str) -> list[int]:
    """Tell the agent of the first signal, and end the process when it does not; where that came is its number."""
    got: list[int] = []

    def hear(signum: int, _: object) -> None:
        if not got:  # only the first counts, and the call does not begin anew
            got.append(signum)
            write(agent.fileno(), b"I" + bytes(got))
            last_words = f"{command}: interrupted by {STOPPING[signum]}", 128 + signum
            _signal.signal(_signal.SIGALRM, lambda *_: fail(*last_words))
            _signal.setitimer(_signal.ITIMER_REAL, LAST_SECONDS - (HEADER_SECONDS if header else 0.0))

    for signum in taken:
        _signal.signal(signum, hear)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [*taken, _signal.SIGALRM])
    return got


def is_taken_back(token: int) -> bool:
    """Whether the agent can't touch any more what it was given, as it has not begun."""
    try:
        return posix.eventfd_read(token) == 1
    except OSError:
        return False


def close_inherited(*kept: int) -> None:
    """Close what the database's server passed on: a dropped table's files would keep their space while we wait."""
    try:
        names = posix.listdir("/proc/self/fd")
    except OSError:
        return  # too many are open
    for name in names:
        if int(name) > 2 and int(name) not in kept:
            try:
                posix.close(int(name))
            except OSError:
                pass  # the one that listed the directory


def fail(text: str, status: int) -> None:
    """Never returns: the last words are one line on standard error."""
    _signal.setitimer(_signal.ITIMER_REAL, 0)
    if header:  # which gpbackup_helper reads before it looks at standard error
        write(1, header[0])
        time.sleep(HEADER_SECONDS)
    write(2, f"fsspec_gp_plugin: {text}\n".encode("utf-8", "surrogateescape"))
    posix._exit(status)


def write(fd: int, data: bytes) -> None:
    """Write it, if anybody makes room for it within `WRITE_SECONDS`."""
    ended = _thread.allocate_lock()
    ended.acquire()

    def work() -> None:
        try:
            posix.write(fd, data)
        except OSError:
            pass
        ended.release()

    try:
        _thread.start_new_thread(work, ())  # it waits where a pipe is full
    except RuntimeError:
        work()
    ended.acquire(timeout=WRITE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
