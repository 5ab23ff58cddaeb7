"""The reference PDS with its PLC directory, from npm, and accounts that write to it as users do.

The software is in tests/peers and is installed by the first test that needs it.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any, Self

from edgerelay_dev.offline.checkout import Checkout
from tests.npm_install import install

__all__ = ["Account", "Json", "NodeProcess", "ReferenceNetwork", "install_peers", "write"]

Json = dict[str, Any]

PEERS = Path(__file__).resolve().parents[1] / "peers"
APPLY_WRITES = "com.atproto.repo.applyWrites"
REPLY_LIMIT_S = 30.0
"""A commit of 200 operations takes less than one second."""
STOP_LIMIT_S = 10.0


def install_peers() -> None:
    """Install the software of tests/peers if it is not yet; raises with what is missing."""
    install(PEERS)


class NodeProcess:
    """A script of tests/peers that speaks lines of JSON, and ends when its standard input does."""

    def __init__(self, script: str, *arguments: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "stderr.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [Checkout.of_this_file().node, PEERS / script, *arguments],
                env={**os.environ, "TMPDIR": str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def write(self, line: Json) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(line)}\n")
        self._process.stdin.flush()

    def read(self) -> Json | None:
        """Return the next line, or None at the end."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: Json = json.loads(line)
            return answer
        self._process.stdout.close()
        return None

    def stop(self) -> None:
        """End the process, by force if it does not end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def errors(self) -> str:
        return self._log.read_text()


class ReferenceNetwork:
    """A PLC directory and one PDS, on free ports of the loopback interface.

    A context manager, whose end stops them.

    Attributes:
        plc_url: the directory.
        pds_url: the PDS.
    """

    def __init__(self, folder: Path) -> None:
        self._process = NodeProcess("network.mjs", folder=folder)
        ready = self._process.read()
        if ready is None:
            self._process.stop()
            raise RuntimeError(f"the reference PDS did not start:\n{self._process.errors()}")
        self.plc_url: str = ready["plc"]
        self.pds_url: str = ready["pds"]
        self._admin = "Basic " + base64.b64encode(f"admin:{ready['admin']}".encode()).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.stop()
        assert self._process.read() is None

    def create_account(self, name: str) -> Account:
        handle = f"{name}.test"
        body = {"handle": handle, "email": f"{name}@mail.test", "password": f"password of {name}"}
        created = self.call("com.atproto.server.createAccount", body)
        return Account(self, created["did"], created["accessJwt"])

    def delete_account(self, account: Account) -> None:
        self.call("com.atproto.admin.deleteAccount", {"did": account.did}, self._admin)

    def take_down(self, account: Account, *, applied: bool) -> None:
        """Take the account down, or undo it."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}
        body = {"subject": subject, "takedown": {"applied": applied}}
        self.call("com.atproto.admin.updateSubjectStatus", body, self._admin)

    def rotate_key(self, account: Account) -> None:
        """Give the account a new signing key, in the PDS and in the directory."""
        self._process.write({"rotate": account.did})
        answer = self._process.read()
        if answer is None or "key" not in answer:
            raise RuntimeError(f"no new key for {account.did}: {answer}")

    def call(self, nsid: str, body: Json | None, authorization: str | None = None) -> Json:
        """Call a procedure of the PDS; raises with its answer unless that is a success."""
        headers = {} if authorization is None else {"Authorization": authorization}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        url = urllib.parse.urlsplit(self.pds_url)
        connection = http.client.HTTPConnection(url.netloc, timeout=REPLY_LIMIT_S)
        try:
            connection.request("POST", f"/xrpc/{nsid}", data, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{nsid} answered {response.status}: {answer.decode(errors='replace')}")
        result: Json = json.loads(answer) if answer else {}
        return result


class Account:
    """An account of the PDS, as its user sees it.

    Attributes:
        did: its DID.
        commits: (rev, CID) of each commit that the PDS has acknowledged to it, in order.
    """

    def __init__(self, network: ReferenceNetwork, did: str, token: str) -> None:
        self.did = did
        self.commits: list[tuple[str, str]] = []
        self._network = network
        self._authorization = f"Bearer {token}"

    def create(self, collection: str, rkey: str | None = None, **record: object) -> Json:
        return self._write("createRecord", collection, rkey, record={"$type": collection, **record}, validate=False)

    def put(self, collection: str, rkey: str, **record: object) -> Json:
        return self._write("putRecord", collection, rkey, record={"$type": collection, **record}, validate=False)

    def delete(self, collection: str, rkey: str) -> Json:
        return self._write("deleteRecord", collection, rkey)

    def apply(self, writes: list[Json]) -> Json:
        """Make several writes, each from `write`, in one commit."""
        body = {"repo": self.did, "writes": writes, "validate": False}
        return self._committed(self.call(APPLY_WRITES, body))

    def call(self, nsid: str, body: Json | None = None) -> Json:
        return self._network.call(nsid, body, self._authorization)

    def _write(self, procedure: str, collection: str, rkey: str | None, **rest: object) -> Json:
        body = {"repo": self.did, "collection": collection, **rest}
        if rkey is not None:
            body["rkey"] = rkey
        return self._committed(self.call(f"com.atproto.repo.{procedure}", body))

    def _committed(self, answer: Json) -> Json:
        if "commit" in answer:
            self.commits.append((answer["commit"]["rev"], answer["commit"]["cid"]))
        return answer


def write(action: str, collection: str, rkey: str, **value: object) -> Json:
    """Return one write for `Account.apply`; its action is create, update or delete."""
    target: Json = {"$type": f"{APPLY_WRITES}#{action}", "collection": collection, "rkey": rkey}
    return target if action == "delete" else {**target, "value": {"$type": collection, **value}}
