"""Runs in Keystone's own environment, in its folder: makes database and keys if they are not there, then serves.

Arguments: the configuration file, and the port (0: any free one). It tells where it listens on its standard output.
"""

import getpass
import grp
import os
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")  # what Keystone imports is deprecated by its own makers

import waitress  # noqa: E402 # the warnings come with the imports
from keystone.cmd import cli  # noqa: E402

CONFIG, PORT = sys.argv[1:]


def manage(*words: str) -> None:
    """One command of keystone-manage, in a child: it can be read only once in a process."""
    child = os.fork()
    if child == 0:
        cli.main(["keystone-manage", "--config-file", CONFIG, *words])
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(f"keystone-manage {words[0]} failed")


if not Path("keystone.db").exists():
    group = grp.getgrgid(os.getgid()).gr_name
    manage("db_sync")
    manage("fernet_setup", "--keystone-user", getpass.getuser(), "--keystone-group", group)
    manage("bootstrap", "--bootstrap-password", os.environ["BOOTSTRAP_PASSWORD"])

sys.argv = sys.argv[:1]  # Keystone reads it too
os.environ["OS_KEYSTONE_CONFIG_FILES"] = CONFIG
from keystone.wsgi.api import application  # noqa: E402 # the configuration is read by the import

server = waitress.create_server(application, host="127.0.0.1", port=int(PORT), threads=4)
print("listens on", server.effective_port, flush=True)  # who started it waits for this
server.run()
