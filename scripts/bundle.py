"""One archive of the plugin and all that it needs but Python: the same tree from the same sources, byte by byte."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

NAME = "fsspec_gp_plugin"
VERSION = re.search(r'__version__ = "(.+)"', Path(NAME, "__init__.py").read_text()).group(1)  # type: ignore[union-attr]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Of every file: the oldest that zip archives know, too.
TIME = 315532800
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
PROGRAM = """\
# Makes a program of this directory, which the launcher gives to the host's Python.
import os
import sys

from fsspec_gp_plugin.__main__ import main

os._exit(main(sys.argv[1:]))
"""
# Without them the tree would be of no use for a whole kind of target.
NEEDED = "adlfs crc32c cryptography gcsfs paramiko rich s3fs smbclient webdav4 yaml"


def main() -> None:
    """Make it, and say where it is."""
    parser = argparse.ArgumentParser("scripts/bundle", description=__doc__)
    parser.add_argument("--output", metavar="DIR", default="dist", help="where the archive goes (dist in the checkout)")
    parser.add_argument(
        "--glibc",
        metavar="2.N",
        default="2.28",
        type=lambda text: (
            text if re.fullmatch(r"2\.(1[7-9]|[2-9]\d)", text) else parser.error(f"--glibc {text}: not 2.17 or later")
        ),
        help="the oldest C library of the hosts, by `ldd --version` (2.28: that of Red Hat 8)",
    )
    parser.add_argument("--from", dest="directory", default=".", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    output = Path(asked.output if asked.output == "dist" else os.path.join(asked.directory, asked.output))
    output.mkdir(parents=True, exist_ok=True)
    archive = output / f"{NAME}-{VERSION}-linux-{platform.machine()}-py{PYTHON.replace('.', '')}.tar.gz"
    with tempfile.TemporaryDirectory(prefix=f"{NAME}-bundle-") as folder:
        tree = Path(folder, f"{NAME}-{VERSION}")
        packages = tree / "lib" / f"python{PYTHON}" / "site-packages"
        install(tree, Path(folder), int(asked.glibc.removeprefix("2.")))
        (packages / "__main__.py").write_text(PROGRAM)
        strip(tree)
        compile_all(tree)
        check(packages)
        lines = {NAME: VERSION, "python": PYTHON, "machine": platform.machine(), "glibc": oldest_glibc(packages)}
        (tree / "VERSION").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        write_sums(tree)
        pack(tree, archive)
    print(f"{archive.resolve()}: {archive.stat().st_size / (1 << 20):.0f} MiB")


def platform_names(glibc: int) -> list[str]:
    """Those whose packages load with version 2.`glibc` of the C library, the newest first."""
    machine = platform.machine()
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 16, -1)), f"manylinux2014_{machine}"]


def install(tree: Path, folder: Path, glibc: int) -> None:
    """Locked packages, none built here, and our own, whose build compiles the client where it can."""
    (tree / "lib").mkdir(parents=True)
    # Some systems have another directory for what is compiled.
    (tree / "lib64").symlink_to("lib")
    into = ["--prefix", str(tree), "--ignore-installed", "--no-compile", "--no-deps", "--no-warn-script-location"]
    locked = ["--require-hashes", "-r", "requirements/runtime.txt"]
    wheels = str(folder / "wheels")
    platforms = [word for name in platform_names(glibc) for word in ("--platform", name)]
    run(*PIP, "download", "--no-deps", "--only-binary", ":all:", *platforms, "--dest", wheels, *locked)
    run(*PIP, "install", *into, "--no-index", "--find-links", wheels, *locked)
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "wheel"), ".")
    run(*PIP, "install", *into, *map(str, (folder / "wheel").iterdir()))
    (tree / "lib64").unlink()


def strip(tree: Path) -> None:
    """Leave out other packages' programs, which name this machine's Python, and pip's notes on this machine."""
    for path in tree.iterdir():
        if path.name not in ("bin", "lib", "libexec"):
            shutil.rmtree(path)
    for path in (tree / "bin").iterdir():
        if path.name not in (NAME, f"{NAME}.sh"):
            path.unlink()
    for path in [*tree.rglob("*.dist-info/RECORD"), *tree.rglob("*.dist-info/direct_url.json")]:
        path.unlink()


def compile_all(tree: Path) -> None:
    """By a process of its own, and one file after another, as the bytes depend on hashes and on what came before.

    Not compared with the time of their sources, which an archive need not keep.
    """
    line = (
        "import compileall, py_compile, sys; compileall.compile_dir(sys.argv[1], maxlevels=99, quiet=2, stripdir="
        "sys.argv[1], invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    )
    run(sys.executable, "-S", "-c", line, str(tree), PYTHONHASHSEED="0")


def check(packages: Path) -> None:
    """It starts, and has all that it needs, by itself."""
    alone = [sys.executable, "-I", "-S", "-B", "-X", "utf8"]
    told = subprocess.run([*alone, str(packages), "--version"], capture_output=True, text=True, check=True).stdout
    if told != f"{NAME} version {VERSION}\n":
        sys.exit(f"scripts/bundle: the tree says {told!r}")
    line = "import importlib, sys; sys.path.insert(0, sys.argv[1]); [importlib.import_module(m) for m in sys.argv[2:]]"
    run(*alone, "-c", line, str(packages), *NEEDED.split())


def oldest_glibc(packages: Path) -> str:
    """The version of the C library that the compiled packages need; of each the oldest it is made for counts."""
    needed = (2, 17)
    for path in packages.glob("*.dist-info/WHEEL"):
        found = re.findall(r"manylinux_(\d+)_(\d+)_", path.read_text())
        if found:
            needed = max(needed, min((int(major), int(minor)) for major, minor in found))
    return ".".join(map(str, needed))


def write_sums(tree: Path) -> None:
    """What `sha256sum --check SHA256SUMS` compares."""
    files = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((tree / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (tree / "SHA256SUMS").write_text("".join(lines))


def pack(tree: Path, archive: Path) -> None:
    """The archive appears whole."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = TIME
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    part = archive.with_name(f".{archive.name}.part")
    try:
        with open(part, "wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped:  # noqa: SIM117
            with tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar:
                tar.add(tree, tree.name, filter=plain)  # in the order of names
        os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)


def run(*command: str, **environment: str) -> None:
    """Run a program with more variables in its environment; the end of this one where it fails."""
    done = subprocess.run(command, env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(f"scripts/bundle: `{' '.join(command[:6])} …` ended with status {done.returncode}")


if __name__ == "__main__":
    main()
