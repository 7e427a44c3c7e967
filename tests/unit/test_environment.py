"""Which variables decide whether the agent may serve a caller."""

from __future__ import annotations

import pytest

from fsspec_gp_plugin.agent.environment import digest, relevant

# As in a server's process, and different there from those of a login.
EVERYWHERE = {
    "PATH": "/bin",
    "PWD": "/data",
    "OLDPWD": "/",
    "SHLVL": "2",
    "_": "/bin/sh",
    "LANG": "C",
    "TERM": "dumb",
    "GP_SESSION_ID": "7",
    "GP_CID": "1",
    "PGPORT": "5432",
    "PGPASSWORD": "x",
    "GPHOME": "/usr/local/gpdb",
    "OPENSSL_CONF": "/usr/local/gpdb/etc/openssl.cnf",
    "LD_LIBRARY_PATH": "/usr/local/gpdb/lib",
    "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1",
    "SSH_CONNECTION": "::1 1 ::1 22",
    "COORDINATOR_DATA_DIRECTORY": "/data",
}


def test_what_differs_from_process_to_process_does_not_count() -> None:
    assert relevant(EVERYWHERE) == {}
    assert digest(EVERYWHERE) == digest({})


@pytest.mark.parametrize(
    "name",
    [
        "HOME", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_ID", "https_proxy",
        "NO_PROXY", "REQUESTS_CA_BUNDLE", "FSSPEC_S3_KEY", "KRB5CCNAME", "MY_SECRET", "OUR_TOKEN",
        "STORAGE_EMULATOR_HOST", "SSL_CERT_FILE", "BOTO_CONFIG",
    ],
)  # fmt: skip
def test_what_may_decide_about_credentials_and_ways_counts(name: str) -> None:
    assert relevant({**EVERYWHERE, name: "x"}) == {name: "x"}
    assert digest({name: "x"}) != digest({name: "y"})
    assert "x" * 8 not in digest({name: "x" * 8})


def test_another_openssl_configuration_counts_and_ssh_s_agent_only_for_ssh() -> None:
    assert relevant({**EVERYWHERE, "OPENSSL_CONF": "/etc/own.cnf"}) == {"OPENSSL_CONF": "/etc/own.cnf"}
    assert relevant(EVERYWHERE, "s3") == {}
    assert relevant(EVERYWHERE, "sftp") == {"SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1"}
