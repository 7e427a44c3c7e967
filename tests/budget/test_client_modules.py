"""What the client in Python loads, once for every table of a backup."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.agent.clients.installations import CALL, install_python
from tests.agent.fake_agent import PATIENCE, FakeAgent

if TYPE_CHECKING:
    from pathlib import Path

# The client's last act is to tell what is loaded by then.
CLIENT = """\
import sys; sys.path.insert(0, sys.argv.pop(1))
import client, posix
leave = posix._exit
def tell(status):
    posix.write(1, " ".join(sorted(sys.modules)).encode())
    leave(status)
posix._exit = tell
client.main(sys.argv[1:])
"""


def test_the_client_loads_one_module_more_than_an_empty_program(tmp_path: Path) -> None:
    installation = install_python(tmp_path / "installation")
    python = [str(installation.bin / "python3"), "-I", "-S", "-X", "utf8", "-c"]
    empty = subprocess.run([*python, "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    (tmp_path / "home").mkdir()
    agent = FakeAgent(tmp_path / "home", installation.bin)
    process = subprocess.Popen(
        [*python, CLIENT, str(tmp_path / "installation/libexec/fsspec_gp_plugin"), *CALL],
        env={"HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with agent.accept() as conversation:
        assert conversation.take().arguments == list(CALL)
        conversation.say(b"E\0")
        out, _ = process.communicate(timeout=PATIENCE)
    agent.close()
    assert process.returncode == 0
    assert set(out.split()) - set(empty.stdout.split()) == {"client", "_socket"}
