"""`scripts/bundle` and `deploy`: what is packed, how it gets to hosts, and that it works there."""

from __future__ import annotations

import getpass
import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import fsspec_gp_plugin
from tests.cli.terminal import Terminal
from tests.protocol.agents import EXECUTABLE
from tests.protocol.caller import Plugin, write_config
from tests.servers.fixtures import skip_unless_required

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.protocol.caller import Database, Result
    from tests.servers.sshd import Sshd

VERSION = fsspec_gp_plugin.__version__
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# The interpreter itself: that of the tests is of a virtual environment, with packages of its own.
INTERPRETER = os.path.realpath(sys.executable)
pytestmark = pytest.mark.skipif(not Path("scripts/bundle").exists(), reason="there is no source tree")

# Called as ssh is: a host is a home of its own, and HERE in a path is its name.
TRANSPORT = """\
#!/bin/sh
[ "$1" != away ] || { echo "ssh: connect to host away: No route to host" >&2; exit 255; }
mkdir -p "$HOSTS/$1" && cd "$HOSTS/$1" && HOME=$PWD exec sh -c "$(printf '%s' "$2" | sed "s/HERE/$1/g")"
"""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real one, made once."""
    folder = tmp_path_factory.mktemp("bundle")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    subprocess.run(
        [sys.executable, "-I", "scripts/bundle.py", "--output", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    [archive] = folder.iterdir()
    return archive


def small_bundle(archive: Path, program: str, *, version: str = VERSION, damaged: bool = False, **told: str) -> Path:
    """An archive of the same form with another program, for what is the same whatever is in it."""
    says = {"fsspec_gp_plugin": version, "python": "3.11", "machine": os.uname().machine, **told}
    files = {
        "VERSION": "".join(f"{name} {value}\n" for name, value in says.items()).encode(),
        "bin/fsspec_gp_plugin": f"#!/bin/sh\n{program}\n".encode(),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    if damaged:
        files["bin/fsspec_gp_plugin"] += b"\n"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in {"SHA256SUMS": sums.encode(), **files}.items():
            member = tarfile.TarInfo(f"fsspec_gp_plugin-{version}/{name}")
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    return archive


def answering(version: str = VERSION, doctor: str = "exit 0") -> str:
    """A program that says its version, and whose doctor does what it is told."""
    return f'case $1 in --version) echo "fsspec_gp_plugin version {version}";; doctor) {doctor};; esac'


class Cluster:
    """Hosts that are directories."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.hosts = folder / "hosts"
        self.hosts.mkdir()
        self.transport = folder / "transport"
        self.transport.write_text(TRANSPORT)
        self.transport.chmod(0o755)
        self._plugin = Plugin(database, folder / "none")
        database.extra["HOSTS"] = str(self.hosts)
        self.environment = database.environment

    def run(self, directory: str, *words: str, hosts: str = "a,b", status: int = 0) -> dict[str, dict[str, Any]]:
        """Deploy; what is told of each host."""
        done = self.deploy(directory, "--hosts", hosts, "--json", *words)
        assert (done.status, done.err) == (status, ""), (done.out, done.err)
        return {host["host"]: host for host in json.loads(done.out)["hosts"]}

    def deploy(self, *words: str) -> Result:
        """Call the command."""
        return self._plugin.shell(shlex.join([str(EXECUTABLE), "deploy", *words, "--ssh", str(self.transport)]))

    def left(self, host: str, below: str) -> list[str]:
        """What is in a directory of a host."""
        return sorted(os.listdir(self.hosts / host / below))


@pytest.fixture
def cluster(tmp_path: Path, database: Database) -> Cluster:
    return Cluster(tmp_path, database)


def test_a_bundle_is_the_same_wherever_it_is_made(bundle: Path) -> None:
    assert (
        bundle.name == f"fsspec_gp_plugin-{VERSION}-linux-{os.uname().machine}-py{PYTHON[6:].replace('.', '')}.tar.gz"
    )
    places = [str(Path.cwd()).encode(), str(Path(sys.executable).parent).encode(), b"/fsspec_gp_plugin-bundle-"]
    found: dict[str, str] = {}
    sums: dict[str, str] = {}
    with tarfile.open(bundle) as tar:
        members = tar.getmembers()
        for member in members:
            name = member.name.partition("/")[2]
            assert (member.uid, member.gid, member.mtime) == (0, 0, 315532800), name
            assert member.isdir() or member.isfile(), name
            assert member.mode == 0o755 or (member.isfile() and member.mode == 0o644), name
            file = tar.extractfile(member)
            if file is not None:
                data = file.read()
                found[name] = hashlib.sha256(data).hexdigest()
                assert [place for place in places if place in data] == [], name
                if name == "SHA256SUMS":
                    sums = {line[66:]: line[:64] for line in data.decode().splitlines()}
    assert [member.name for member in members] == sorted(
        (member.name for member in members), key=lambda name: name.split("/")
    )
    del found["SHA256SUMS"]
    assert sums == found
    packages = f"lib/{PYTHON}/site-packages"
    assert {name for name in found if name.startswith("bin/")} == {"bin/fsspec_gp_plugin", "bin/fsspec_gp_plugin.sh"}
    tag = sys.implementation.cache_tag
    for name in ("fsspec_gp_plugin/call", "s3fs/core", "paramiko/client", "smbclient/path", "webdav4/client"):
        folder, _, module = name.partition("/")
        assert {f"{packages}/{name}.py", f"{packages}/{folder}/__pycache__/{module}.{tag}.pyc"} <= found.keys()


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that all users can reach."""
    folder = Path(tempfile.mkdtemp(prefix="fsspec_gp_plugin-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_it_gets_to_a_host_by_ssh_and_works_there(bundle: Path, sftp: Sshd, database: Database, public: Path) -> None:
    """In the database's environment, and for one who may not write to it."""
    tmp_path = database.folder
    known = sftp.known_hosts()
    ssh = f"ssh -F none -o UserKnownHostsFile={known} -i {sftp.keys}/user -p {sftp.port}"
    directory = public / "opt/plugin"
    (tmp_path / "hosts").write_text("# one\n127.0.0.1  # this one\n\n")
    line = [
        "deploy",
        str(directory),
        "--bundle",
        str(bundle),
        "--hostfile",
        f"{tmp_path}/hosts",
        "--python",
        INTERPRETER,
    ]
    deployer = Plugin(database, tmp_path / "none")
    done = deployer.shell(shlex.join([str(EXECUTABLE), *line, "--ssh", ssh])).succeeded()
    assert done.out.decode().split()[4:7] == ["127.0.0.1", "ok", VERSION]
    assert os.listdir(directory.parent) == ["plugin"]
    assert getpass.getuser() == directory.owner()
    config = write_config(database.folder / "c.yaml", f"file://{database.folder}/disk", agent="on")
    plugin = Plugin(database, config, directory / "bin/fsspec_gp_plugin")
    config.write_text(config.read_text().replace(str(EXECUTABLE), str(plugin.executable)))
    plugin.setup("setup_plugin_for_backup")
    for executable in (plugin.executable, plugin.executable.with_suffix(".sh")):
        plugin.executable = executable
        plugin.run("backup_data", database.table(), stdin=b"rows").succeeded()
        assert plugin.run("restore_data", database.table()).succeeded().out == b"rows"
    assert "6 served" in plugin.shell(f"{plugin.executable} agent status").succeeded().out.decode()
    plugin.shell(f"{plugin.executable} agent stop").succeeded()
    plugin.run("backup_data", database.table(), stdin=b"more").succeeded()  # the client in Python, alone
    steps = json.loads(plugin.run("doctor", "--quick", "--json").out)["steps"]
    assert {one["step"]: one["status"] for one in steps if one["step"] in ("executable", "environment")} == {
        "executable": "ok",
        "environment": "ok",
    }
    assert b"20260102030405" in plugin.run("list").succeeded().out
    served = _serves_nobody(plugin, public)
    # It can replace itself, even by a tree that has nothing of what it runs from.
    line[3] = str(small_bundle(public / "small.tar.gz", answering()))
    done = plugin.shell(shlex.join([str(directory / "bin/fsspec_gp_plugin"), *line, "--ssh", ssh])).succeeded()
    assert done.out.decode().split()[4:7] == ["127.0.0.1", "ok", VERSION]
    assert os.listdir(directory.parent) == ["plugin"]
    assert sorted(os.listdir(directory)) == ["SHA256SUMS", "VERSION", "bin"]
    if not served:
        skip_unless_required("user", f"only the user nobody was left out: this is not root, or no {PYTHON} is for all")


def _serves_nobody(plugin: Plugin, public: Path) -> bool:
    """The tree serves a user who may not write to it, where there is a way to be one who may run a Python."""
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups env"
    # The tests' own interpreter may be in root's home. Those are what the launcher looks for.
    interpreters = (INTERPRETER, f"/usr/bin/{PYTHON}", f"/usr/local/bin/{PYTHON}")
    may_run = " || ".join(f"{as_nobody} -i {interpreter} -c ''" for interpreter in interpreters)
    if os.geteuid() != 0 or plugin.shell(f"({may_run}) 2> /dev/null").status:
        return False
    home = public / "home"
    home.mkdir()
    config = write_config(home / "c.yaml", f"file://{home}/disk", agent="off")
    for path in (home, config, home / "disk"):
        os.chown(path, 65534, 65534)
    call = f"cd {home}; {as_nobody} HOME={home} {plugin.executable}"
    table = plugin.database.table()
    plugin.shell(f"{call} backup_data {config} {table}", b"rows").succeeded()
    assert plugin.shell(f"{call} restore_data {config} {table}").succeeded().out == b"rows"
    return True


def test_each_host_has_a_row(cluster: Cluster, tmp_path: Path) -> None:
    directory = f"{cluster.hosts}/HERE/opt/it's a $HOME"
    first = small_bundle(tmp_path / "first.tar.gz", answering())
    told = cluster.run(directory, "--bundle", str(first), hosts="a,away,b", status=1)
    assert {name: (host["state"], host["version"]) for name, host in told.items()} == {
        "a": ("ok", VERSION),
        "away": ("failed", ""),
        "b": ("ok", VERSION),
    }
    assert told["away"]["problem"] == "can't be reached: ssh: connect to host away: No route to host"
    second = small_bundle(tmp_path / "second.tar.gz", answering("9.9"), version="9.9")
    assert {host["version"] for host in cluster.run(directory, "--bundle", str(second)).values()} == {"9.9"}
    for host in ("a", "b"):
        assert cluster.left(host, "opt") == ["it's a $HOME"]
    done = cluster.deploy(directory, "--bundle", str(second), "--hosts", "a")
    assert done.succeeded().out.decode().splitlines()[1].split() == ["a", "ok", "9.9"]


def test_what_fails_leaves_the_old_tree(cluster: Cluster, tmp_path: Path) -> None:
    directory = f"{cluster.hosts}/HERE/plugin"
    cluster.run(directory, "--bundle", str(small_bundle(tmp_path / "old.tar.gz", answering())))
    bad = {
        "the bundle is damaged": {"program": answering(), "damaged": True},
        "instead of version": {"program": answering("1.1"), "version": "1.2"},
        "does not start: broken": {"program": "echo broken >&2; exit 1"},
        "the bundle is for z80": {"program": answering(), "machine": "z80"},
        # It answers where it is unpacked, and no more in its place.
        "says ''": {"program": f"case $0 in *.new-*) {answering('2')};; esac", "version": "2"},
    }
    for number, (problem, how) in enumerate(bad.items()):
        archive = small_bundle(tmp_path / f"{number}.tar.gz", **how)  # type: ignore[arg-type]
        told = cluster.run(directory, "--bundle", str(archive), status=1)
        assert problem in told["a"]["problem"], told
        assert cluster.left("a", ".") == cluster.left("b", ".") == ["plugin"]
        line = [str(cluster.hosts / "a/plugin/bin/fsspec_gp_plugin"), "--version"]
        assert (
            subprocess.run(line, capture_output=True, check=True).stdout
            == f"fsspec_gp_plugin version {VERSION}\n".encode()
        )
    (cluster.hosts / "a/other").mkdir()
    (cluster.hosts / "a/other/precious").write_text("data")
    told = cluster.run(f"{cluster.hosts}/HERE/other", "--bundle", f"{tmp_path}/old.tar.gz", status=1)
    assert "holds something other" in told["a"]["problem"]
    assert told["b"]["state"] == "ok"
    assert cluster.left("a", "other") == ["precious"]


def test_the_configuration_goes_along_and_the_doctor_looks(cluster: Cluster, tmp_path: Path) -> None:
    directory = f"{tmp_path}/opt/plugin"
    secrets = tmp_path / "secrets.yaml"
    secrets.write_text("key: k\nsecret: n0body-knows\n")
    secrets.chmod(0o600)
    options: dict[str, Any] = {"storage_options_file": secrets, "encryption_recipients": "/x"}
    config = write_config(tmp_path / "it's mine.yaml", "s3://bucket/prefix", **options)
    archive = small_bundle(tmp_path / "a.tar.gz", answering())
    words = [directory, "--bundle", str(archive), "--config", str(config), "--hosts", "a"]
    cluster.deploy(*words).failed("executablepath", directory, status=2)
    config.write_text(text := config.read_text().replace(str(EXECUTABLE), f"{directory}/bin/fsspec_gp_plugin"))
    config.chmod(0o644)
    steps = [{"step": "host", "status": "ok"}, {"step": "writing", "status": "failed", "told": "denied"}]
    found = f"echo welcome; echo {shlex.quote(json.dumps({'steps': steps}))}; exit 1"
    none = "echo 'fsspec_gp_plugin: doctor: unknown command' >&2; exit 2"
    for doctor, state, told in (("echo {}", "ok", {}), (found, "failed", {"steps": steps}), (none, "ok", None)):
        archive = small_bundle(tmp_path / "a.tar.gz", answering(doctor=doctor))
        done = cluster.deploy(*words, "--json")
        answer = json.loads(done.out)
        assert done.status == (state == "failed")
        [host] = answer["hosts"]
        assert (host["state"], host["step"], host["doctor"]) == (state, "doctor", told)
        assert host["problem"] == ("writing: denied" if state == "failed" else "")
        assert [note.split(": each host needs ")[1] for note in answer["notes"]] == [f"{secrets}, mode 0600", "/x"]
        assert "n0body-knows" not in done.out.decode()
    assert host["notes"] == ["this version has no command `doctor`"]
    assert config.read_text() == text
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("opt/plugin --hosts a", "expected an absolute path"),
        ("/ --hosts a", "expected an absolute path"),
        ("/opt/plugin", "no hosts are given"),
        ("/opt/plugin --hosts a,-oProxyCommand=x", "'-oProxyCommand=x' is not a host name"),
        ("/opt/plugin --hosts ,", "no hosts are given"),
        ("/opt/plugin --hostfile /not/there", "--hostfile /not/there can't be read"),
        ("/opt/plugin --hosts a --bundle /not/there", "--bundle /not/there can't be read"),
        (f"/opt/plugin --hosts a --bundle {EXECUTABLE}", "can't be read"),
        ("/opt/plugin --hosts a --config /not/there", "/not/there"),
    ],
)
def test_a_wrong_call_is_one_line(cluster: Cluster, tmp_path: Path, words: str, told: str) -> None:
    archive = small_bundle(tmp_path / "a.tar.gz", answering())
    more = [] if "--bundle" in words else ["--bundle", str(archive)]
    cluster.deploy(*words.split(), *more).failed(told, status=2)


def test_an_interrupted_one_leaves_nothing_running(cluster: Cluster, tmp_path: Path) -> None:
    cluster.transport.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid-$1; echo started >&2\nexec sleep 600 < /dev/null\n"
    )
    archive = small_bundle(tmp_path / "a.tar.gz", answering())
    words = [str(EXECUTABLE), "deploy", "/opt/plugin", "--bundle", str(archive), "--hosts", "a,b"]
    terminal = Terminal([*words, "--ssh", str(cluster.transport)], cluster.environment())
    while len(list(tmp_path.glob("pid-*"))) < 2:
        terminal.wait(0.05)
    terminal.wait(0.2)
    terminal.type("\x03")
    assert terminal.end() == 130
    for file in tmp_path.glob("pid-*"):
        assert not Path("/proc", file.read_text().strip()).exists()
