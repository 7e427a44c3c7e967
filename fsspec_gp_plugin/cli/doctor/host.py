"""The steps of `doctor` on this host: configuration, executable, environment, directories, versions."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__, private
from ...backups.risks import config_risks
from ...checksum import crc32c, is_hardware_based
from ...commands import PROGRAM
from ...config.document import parse_strings
from ...config.loading import Config, executable_path, parse_config, read_config
from ...config.storage_options import parse_mapping
from ...config.values import format_size
from ...control_group import ended_with, own_group
from ...errors import ConfigError, LocalFileError
from ...installation import executable
from ...integrity.catalog_files import DIRECTORY as CATALOGS
from ...integrity.journal import DIRECTORY as JOURNAL
from ...integrity.run_state import DIRECTORY as RUNS
from ...integrity.temporary_database import require_sqlite
from ...log import Log
from ...providers import provider_of
from ...redaction import masked
from .encryption import look_at_encryption, recipient_texts

if TYPE_CHECKING:
    from .steps import Step, Steps

# A slower checksum would slow down a fast disk.
_SLOW_CHECKSUM = 1 << 30
_CHECKSUMMED = 64 << 20
_LIBRARIES = ("libssl.so.3", "libssl.so.1.1", "libcrypto.so.3", "libcrypto.so.1.1", "libffi.so.8", "libz.so.1")
_MODULES = ("encodings", "sitecustomize", "yaml", "fsspec", PROGRAM)


def look_at_the_configuration(steps: Steps, path: str) -> Config | None:
    """Check the configuration file; returns None if it is not usable."""
    config, text = None, ""
    with steps.trying("configuration") as step:
        text = read_config(path)
        config = parse_config(path, text, os.environ)
        step.finding = f"{path} is valid and points to {config.url}"
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if config.literal_secrets and mode & 0o077:
            step.warn(
                f"{path} contains secrets and other users can read it (mode {mode:04o})",
                f"run `chmod 600 {path}`, and move the secrets to a storage_options_file",
            )
    with steps.trying("executable") as step:
        if not text:
            step.skip("there is no configuration that names it")
        else:
            _look_at_the_executable(step, executable_path(path, text))
    if config is not None:
        _look_at_risks(steps, config)
        look_at_encryption(steps, config)
    return config


def _look_at_the_executable(step: Step, named: str) -> None:
    ours = executable()
    if not named:
        raise ConfigError(f"`executablepath` is missing; write `executablepath: {ours}` beside `options:`")
    if not os.path.isabs(named):
        raise ConfigError(f"executablepath {named} is not an absolute path; write `executablepath: {ours}`")
    if not os.path.isfile(named):
        raise ConfigError(
            f"executablepath {named} is not a file on this host; install the plugin there, or write {ours}"
        )
    if not os.access(named, os.X_OK):
        raise ConfigError(f"executablepath {named} is not executable; run `chmod +x {named}`")
    step.finding = named
    if os.path.realpath(named) != os.path.realpath(ours):
        step.warn(
            f"executablepath is {named}, but this is {ours}",
            f"run `{named} doctor`: gpbackup calls that one",
        )


def _look_at_risks(steps: Steps, config: Config) -> None:
    found = list(config_risks(config))
    for risk in found:
        with steps.trying("options") as step:
            step.warn(*risk.split(": ", 1)) if ": " in risk else step.warn(risk)
    if not found:
        with steps.trying("options") as step:
            step.finding = "no plain-text secrets"


def look_at_the_host(steps: Steps, config: Config | None) -> None:
    """Check what a host needs for any target."""
    with steps.trying("environment") as step:
        _look_at_the_environment(step, config)
    with steps.trying("log") as step:
        log = Log()
        where = os.path.join(private.home(), "gpAdminLogs")
        if log.fd is None:
            step.warn(f"{where} is not writable, so nothing is logged", f"make {where} a directory of this user")
        else:
            step.finding = f"{where} is writable"
        log.close()
    with steps.trying("private directories") as step:
        place = private.Place("") if config is None else config.place
        for name in (JOURNAL, CATALOGS, RUNS):
            fd = place.open_directory(name, make=True)
            try:
                probe = f".doctor-{os.getpid()}"
                os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd))
                os.unlink(probe, dir_fd=fd)
            except OSError as error:
                step.fail(
                    f"{place.path}/{name} is not writable: {error.strerror}", "free space there, or correct its owner"
                )
            finally:
                os.close(fd)
        if step.status == "ok":
            step.finding = f"{place.path} is private and writable"
    with steps.trying("checksum") as step:
        rate = _checksum_rate()
        hardware = is_hardware_based()
        step.figures = {"bytes_per_second": round(rate), "hardware": hardware}
        step.finding = f"CRC-32C at {format_size(rate)}/s, in {'hardware' if hardware else 'software'}"
        if config is not None and config.checksum == "off":
            step.warn(f"{step.finding}, but `checksum: off`: a restore compares only sizes", "remove `checksum: off`")
        elif rate < _SLOW_CHECKSUM and not hardware:
            step.warn(step.finding, "it slows down each stream; a processor with SSE 4.2 or ARMv8 CRC is faster")
    with steps.trying("SQLite") as step:
        require_sqlite()
        import sqlite3

        step.finding = step.figures["version"] = sqlite3.sqlite_version
    with steps.trying("versions") as step:
        protocol = config.url.partition("://")[0] if config is not None else ""
        found = {PROGRAM: __version__, "Python": ".".join(map(str, sys.version_info[:3]))}
        for package in ("fsspec", *filter(None, [provider_of(protocol).package])):
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                step.fail(f"the package {package} is not installed", f"install it into {os.path.dirname(executable())}")
        step.figures = dict(found)
        if step.status == "ok":
            step.finding = ", ".join(f"{name} {version}" for name, version in found.items())


def _look_at_the_environment(step: Step, config: Config | None) -> None:
    took = _in_a_wrong_environment()
    step.finding = "the program starts in the database's environment, whatever Python that sets"
    step.figures["start_seconds"] = round(took, 3)
    if config is not None and config.agent and (what := ended_with(own_group())):
        step.warn(
            f"an agent started here ends with {what}, and with it the streams of other runs",
            "set KillMode=process there, or name this user in KillExcludeUsers, or set `agent: off`",
        )


def _in_a_wrong_environment() -> float:
    """Start the program in an environment that would break any Python; returns the seconds that it took."""
    with tempfile.TemporaryDirectory(prefix=f"{PROGRAM}_doctor_") as folder:
        for name in _LIBRARIES:
            Path(folder, name).write_text("no library")
        for name in _MODULES:
            Path(folder, f"{name}.py").write_text("raise RuntimeError('of another Python')")
        wrong = {"PYTHONHOME": folder, "PYTHONPATH": folder, "LD_LIBRARY_PATH": folder}
        started = time.monotonic()
        try:
            done = subprocess.run(
                [executable(), "--version"],
                env={**os.environ, **wrong},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LocalFileError(f"{executable()} does not start: {error}; reinstall the plugin") from error
    if done.returncode or done.stderr or done.stdout.decode() != f"{PROGRAM} version {__version__}\n":
        output = (done.stderr or done.stdout).decode(errors="replace").strip().partition("\n")[0]
        raise LocalFileError(
            f"{executable()} does not start in the database's environment (status {done.returncode}: {output}); "
            "reinstall the plugin by pip, which puts the launcher there"
        )
    return time.monotonic() - started


def _checksum_rate() -> float:
    data = bytes(_CHECKSUMMED)
    crc32c(data[: 1 << 20])
    started = time.perf_counter()
    crc32c(data)
    return len(data) / (time.perf_counter() - started)


def fingerprint(path: str) -> str:
    """A hash of the options without secrets, to compare hosts; "" if the file can't be read."""
    import hashlib

    try:
        text = read_config(path)
        options: dict[str, Any] = dict(parse_strings(text))
        for name in ("storage_options", "replica_storage_options"):
            options[name] = parse_mapping(options.get(name, ""), name)
    except ConfigError:
        return ""
    with suppress(ConfigError):  # a step reports it
        options["recipients"] = recipient_texts(parse_config(path, text, os.environ))
    return hashlib.sha256(repr(masked(options)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
