"""Traces a small backup_data to an S3 server that answers every upload: which own functions a byte passes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_CONFIG = """\
executablepath: /none
options:
  url: s3://bucket/prefix
  agent: "off"
  state_directory: {folder}/state
  storage_options: |
    key: key
    secret: secret
    endpoint_url: http://127.0.0.1:{port}
    client_kwargs: {{region_name: us-east-1}}
"""
_FILE = "/data/backups/20260101/20260101120000/gpbackup_0_20260101120000_1"
# Run in a process of its own, as main() takes over descriptors and signals. The frames of the thread that sends follow
# those of the main thread at the moment at which it hands the request to that thread.
_TRACED = """
import os, sys, threading
import fsspec_gp_plugin
from fsspec_gp_plugin.dispatch import main

report, ours = sys.argv[1], os.path.dirname(fsspec_gp_plugin.__file__)

def own(frame):
    found = []
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(ours):
            found.append(f"{code.co_filename[len(ours) + 1:]}: {code.co_name}")
        frame = frame.f_back
    return found[::-1]

handed_over, written = [], []

def watch(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "submit" and threading.current_thread() is threading.main_thread():
        handed_over[:] = own(frame.f_back)
    elif event == "c_call" and arg.__name__ == "sendall" and not written:
        written[:] = [*handed_over, *own(frame)]
        with open(report, "w") as file:
            file.write("\\n".join(written))

threading.setprofile(watch)
sys.setprofile(watch)
status = main(sys.argv[2:])
sys.setprofile(None)
os._exit(status)
"""


class _Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"etag"')
        if checksum := self.headers["x-amz-checksum-crc32c"]:
            self.send_header("x-amz-checksum-crc32c", checksum)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def trace() -> list[str]:
    """Return the own functions, outermost first, that are being run when the first byte of an object is sent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server, tempfile.TemporaryDirectory() as folder:
        Thread(target=server.serve_forever, daemon=True).start()
        config = Path(folder, "config.yaml")
        config.write_text(_CONFIG.format(folder=folder, port=server.server_port))
        report = Path(folder, "frames")
        done = subprocess.run(
            [sys.executable, "-c", _TRACED, str(report), "backup_data", str(config), _FILE],
            input=b"x" * 5000,
            env={"HOME": folder, "PATH": os.defpath},
            stderr=subprocess.PIPE,
            check=False,
        )
        server.shutdown()
        if done.returncode or not report.exists():
            raise RuntimeError(f"the traced backup_data failed: {done.stderr.decode()}")
        return report.read_text().splitlines()
