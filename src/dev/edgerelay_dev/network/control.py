"""Commands to a running network over HTTP: every fault, every event, every account change.

    GET  /                      what there is, and where it stands
    GET  /malformed             every kind of malformed frame, its description and fate
    POST /traffic               {"rate": 400} starts or changes background traffic, {"rate": 0} stops it
    POST /emit                  {"count": 100} lets so much of the traffic happen now
    POST /plc/fail              a `LookupFault`, of one "did" or of all
    POST /plc/heal              of one "did" or of all
    POST /plc/tombstone         {"did": …, "status": 410}
    POST /hosts/N/faults        any of the switches of `Faults`
    POST /hosts/N/drop          cuts the present subscriptions
    POST /hosts/N/move_account  {"did": …, "target": 1}
    POST /hosts/N/ACTION        one of `HOST_ACTIONS`, with its arguments as a JSON object

Hosts count from 0, live ones first; those that replay know `faults` and `drop` only.
Answers are JSON; 400 names what was wrong with the command.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from edgerelay_dev.network.host import Host
from edgerelay_dev.network.malformed import MALFORMED, inject
from edgerelay_dev.network.network import SimulatedNetwork
from edgerelay_dev.network.plc import LookupFault
from edgerelay_dev.network.recording import ReplayingHost
from edgerelay_dev.network.server import Request, Response, error_response, json_response

__all__ = ["HOST_ACTIONS", "Control"]

HostAction = Callable[..., Any]

HOST_ACTIONS: Final[dict[str, HostAction]] = {
    "clear": lambda host: host.faults.clear(),
    "send_error": lambda host, name, message="fault on demand": host.faults.send_error(name, message),
    "send_info": lambda host, name, message="fault on demand": host.faults.send_info(name, message),
    "send_text": lambda host, text: host.faults.send_text(text),
    "reset_sequence": lambda host: host.reset_sequence(),
    "forget": lambda host, count: host.log.forget(count),
    "skip": lambda host, count: host.log.skip(count),
    "inject": lambda host, name, did=None: inject(host, name, host.accounts[did] if did else None).seq,
    "create_account": lambda host, **options: host.create_account(**options).did,
    "change_handle": lambda host, did, handle: host.change_handle(host.accounts[did], handle).seq,
    "rotate_key": lambda host, did, **options: [each.seq for each in host.rotate_key(host.accounts[did], **options)],
    "set_status": lambda host, did, status=None: [each.seq for each in host.set_status(host.accounts[did], status)],
    "delete_account": lambda host, did, purge=True: host.delete_account(host.accounts[did], purge=purge).seq,
    "commit": lambda host, did: host.commit(host.accounts[did]).seq,
    "sync": lambda host, did, fresh=False: host.sync(host.accounts[did], fresh=fresh).seq,
}
"""What a live host does on demand; those that emit events answer with their sequence numbers."""

_ERRORS: Final = (KeyError, ValueError, TypeError, IndexError)
"""What a command with wrong names or arguments ends in."""


class Control:
    """Carries out commands on one network."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self._network = network

    async def answer(self, request: Request) -> Response:
        """Handle one command."""
        arguments = json.loads(request.body) if request.body else {}
        parts = tuple(part for part in request.path.split("/") if part)
        try:
            if request.method == "GET":
                return json_response(self._describe(parts))
            return json_response({"result": await self._command(parts, arguments)})
        except _ERRORS as error:
            return error_response(HTTPStatus.BAD_REQUEST, type(error).__name__, str(error))

    def _describe(self, parts: tuple[str, ...]) -> Mapping[str, Any]:
        network = self._network
        if parts == ("malformed",):
            return {kind.name: {"description": kind.description, "fate": kind.fate} for kind in MALFORMED.values()}
        if parts:
            raise KeyError("/".join(parts))
        lookups = network.directory.lookups
        return {
            "plc": {"url": network.plc_url, "lookups": lookups.total(), "dids": len(lookups)},
            "traffic": network.traffic.emitted,
            "hosts": [_describe_host(host) for host in network.served],
        }

    async def _command(self, parts: tuple[str, ...], arguments: dict[str, Any]) -> Any:
        match parts:
            case ("traffic",):
                return await self._set_rate(**arguments)
            case ("emit",):
                return self._network.traffic.run(**arguments)
            case ("plc", "fail"):
                return self._network.directory.fail(did=arguments.pop("did", None), fault=LookupFault(**arguments))
            case ("plc", "heal"):
                return self._network.directory.heal(**arguments)
            case ("plc", "tombstone"):
                return self._network.directory.tombstone(**arguments)
            case ("hosts", number, "faults"):
                return self._network.served[int(number)].faults.set(**arguments)
            case ("hosts", number, "drop"):
                return self._network.served[int(number)].faults.drop()
            case ("hosts", number, "move_account"):
                return self._move(self._network.hosts[int(number)], **arguments)
            case ("hosts", number, action):
                return HOST_ACTIONS[action](self._network.hosts[int(number)], **arguments)
            case _:
                raise KeyError("/".join(parts))

    async def _set_rate(self, rate: float | str) -> None:
        await self._network.stop_traffic()
        if float(rate):
            self._network.start_traffic(float(rate))

    def _move(self, source: Host, did: str, target: int, **options: bool) -> list[int]:
        moved = self._network.hosts[target].take_over(source.accounts[did], source, **options)
        return [message.seq for message in moved]


def _describe_host(host: Host | ReplayingHost) -> Mapping[str, Any]:
    return {
        "url": host.url,
        "newest": host.log.newest,
        "forgotten": host.log.forgotten,
        "subscriptions": len(host.faults.sockets),
        "accounts": {did: account.status or "active" for did, account in host.accounts.items()},
    }
