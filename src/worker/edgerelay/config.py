"""Settings: everything that an operator can choose, read once, frozen and checked.

A setting is a plain variable of the Worker with the upper-case name of the field (`FLUSH_MS` for `flush_ms`). An
unknown variable or a value outside its range refuses to start and is named. Fixed bounds of the protocol are not
settings; they stand beside the code that enforces them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from edgerelay.errors import SettingsError

__all__ = ["SETTING_NAMES", "Settings"]

_MB: Final = 1_000_000
_MAX_DIGITS: Final = 20  # more than any setting needs; Python refuses to read numbers of thousands of digits


def _choice(default: str, *allowed: str) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def _number(default: int, minimum: int, maximum: int) -> Any:
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def _url(*schemes: str, default: str = "") -> Any:
    return field(default=default, metadata={"schemes": schemes})


def _secret() -> Any:
    return field(default="", repr=False, metadata={"secret": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one relay. `Settings.from_mapping` is the only way in."""

    environment: str = _choice("develop", "develop", "production")
    """`develop` allows `ws://`, a directory over `http://`, accounts whose host is `localhost`, and the settings for
    rehearsals; `production` does not."""

    upstream: str = _url("wss", "ws")
    """The host to subscribe to, as `wss://host`. Empty: the relay serves what it has and subscribes to nothing."""

    upstream_kind: str = _choice("auto", "auto", "pds", "relay")
    """What the host is. `auto` asks its `describeServer`, which a PDS answers and a relay does not."""

    upstream_start: str = _choice("live", "live", "oldest")
    """Where to start at a host that was never read: at its live edge, or at the oldest event that it still has."""

    verify: str = _choice("strict", "strict", "lenient", "trusted")
    """How much is checked before an event is passed on; see docs/validation.md."""

    plc_url: str = _url("https", "http", default="https://plc.directory")
    """The directory that resolves did:plc identities."""

    plc_rps: int = _number(100, 1, 10_000)
    """Identities asked for in a second, at most, over all accounts."""

    identity_deadline_s: int = _number(60, 1, 3_600)
    """Seconds that an account's events wait for an identity that does not resolve, before they are refused."""

    admin_token: str = _secret()
    """Bearer token of `/admin/*`. Empty: those endpoints answer 403."""

    blob_index: str = _choice("off", "off", "on")
    """`on`: which records hold which blobs is kept beside the history, one object an hour, and can be looked up."""

    blob_cache: str = _choice("off", "off", "on")
    """`on`: blobs are read from their hosts, checked, and kept in the platform's cache; `off`: whoever asks is sent to
    the host."""

    blob_max_bytes: int = _number(2 * _MB, 65_536, 8 * _MB)
    """Bytes of the largest blob that passes through this relay. Images of posts have at most 2 MB."""

    blob_url_secret: str = _secret()
    """Key of the signatures of URLs of blobs. Empty: no such URLs are given or accepted."""

    log_level: str = _choice("info", "debug", "info", "warning", "error")
    """The lowest level that is written to the log."""

    flush_ms: int = _number(40, 1, 1_000)
    """Milliseconds between two writes of the hot log: half of it is latency added, its inverse the rows written."""

    batch_bytes: int = _number(1 * _MB, 16_384, 1_800_000)
    """Bytes of frames after which a batch is flushed early. A row may hold 2 MB."""

    ring_bytes: int = _number(8 * _MB, 1 * _MB, 32 * _MB)
    """Bytes of recent batches kept in memory, in RelayState and in each shard. All of an isolate's memory is 128 MB."""

    log_min_minutes: int = _number(10, 0, 1_440)
    """Minutes of events that the hot log keeps at least, so that readers a little behind need not read the archive."""

    log_stop_bytes: int = _number(4_000 * _MB, 1 * _MB, 9_000 * _MB)
    """Bytes at which the hot log reuses the rows of its oldest events, once they are in the archive. An object may
    store 10 GB."""

    seal_s: int = _number(60, 1, 3_600)
    """Seconds after which an event goes into the archive, or when the next alarm comes. More is fewer and larger
    objects."""

    checkpoint_s: int = _number(60, 5, 3_600)
    """Seconds between two checkpoints: what a restart reads again is at most the heads of this long."""

    alarm_s: int = _number(30, 5, 60)
    """Seconds between two alarms. An object without events is evicted after 70 s at the earliest."""

    silence_s: int = _number(120, 5, 3_600)
    """Seconds without a frame after which the upstream is connected anew: a dead socket reports nothing."""

    connect_timeout_s: int = _number(20, 1, 120)
    """Seconds that opening the upstream may take."""

    backoff_cap_s: int = _number(60, 1, 3_600)
    """The longest pause, in seconds, between two attempts to connect."""

    healthy_s: int = _number(30, 1, 3_600)
    """Seconds that a connection must live before the pauses start small again."""

    max_skew_s: int = _number(300, 10, 3_600)
    """Seconds that our clock and the upstream's may differ before nothing is sequenced."""

    max_in_flight: int = _number(4_096, 16, 16_384)
    """Events that may wait for verification at once; beyond it the upstream is closed and resumed later."""

    max_in_flight_bytes: int = _number(12 * _MB, 6 * _MB, 24 * _MB)
    """The same bound in bytes of frames. An event of 5.2 KB takes 12 to 14 KB while it waits, and the memory of an
    isolate is 128 MB."""

    default_replay_hours: int = _number(72, 1, 1_488)
    """Hours that cursor 0 and cursors of other relays replay: what deployed relays keep."""

    retention_days: int = _number(62, 1, 62)
    """Days of history that a time cursor can reach."""

    unsent_bytes: int = _number(512_000, 64_000, 16 * _MB)
    """Bytes that may wait in one client's socket before it is fed at its own pace; more if a shard has few clients,
    less if it has more than 46 or much waits in all of them."""

    blind_bytes_per_s: int = _number(4 * _MB, 10_000, 1_000 * _MB)
    """Bytes a second sent to one client where the runtime cannot tell what waits in its socket. The whole network is
    2.3 MB/s."""

    stuck_s: int = _number(60, 1, 3_600)
    """Seconds without any progress after which a client is closed with ConsumerTooSlow."""

    budget_bytes: int = _number(48 * _MB, 2 * _MB, 96 * _MB)
    """Bytes that the shards of one isolate may hold together: unsent, in rings and in blocks of history. Beyond it
    nothing more is read from history, and after 5 s the client that holds most is closed."""

    shard_clients: int = _number(4_000, 1, 32_000)
    """Clients that one shard accepts; an object may hold 32,768 sockets."""

    shard_deliveries_per_s: int = _number(45_000, 100, 10 * _MB)
    """Frames a second that one shard sends before it accepts no more clients: what one core can do."""

    shards_per_region: int = _number(4, 1, 64)
    """Shards of one kind (live, replay) in one region of the platform."""

    shards_max: int = _number(16, 1, 64)
    """Shards over all: each costs the relay one more copy of the stream. It may be exceeded for a second."""

    clients_max: int = _number(20_000, 1, 1_000_000)
    """Clients over all shards, as they were a second ago."""

    address_clients: int = _number(100, 1, 32_000)
    """Clients of one address (IPv6: of one /64) at one shard."""

    address_replays: int = _number(8, 1, 32_000)
    """The same at a shard for deep replays."""

    replay_clients: int = _number(200, 1, 32_000)
    """Clients that one shard for deep replays serves from history at a time; those that caught up do not count."""

    deep_replay_minutes: int = _number(30, 1, 89_280)
    """Minutes of history beyond which a client goes to a shard for deep replays."""

    subscriber_tokens: str = _secret()
    """Tokens of subscribers, separated by commas. Empty: anybody may subscribe."""

    rehearsal: str = _choice("off", "off", "on")
    """Endpoints under `/rehearsal` with which tests hold accounts back, look accounts up, lose the bucket and
    stop objects. Never in production."""

    rehearsal_clock_s: int = _number(0, -864_000, 864_000)
    """Seconds by which the clock is shifted, to rehearse wrong clocks. Never in production."""

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> Settings:
        """Build the settings from variables by their upper-case names.

        Raises:
            SettingsError: a name is unknown, or a value is not one that the setting can have.
        """
        known = {each.name.upper(): each for each in fields(cls)}
        unknown = sorted(set(variables) - set(known))
        if unknown:
            raise SettingsError(f"unknown setting {', '.join(unknown)}")
        values: dict[str, Any] = {known[name].name: _parse(known[name], text) for name, text in variables.items()}
        settings = cls(**values)
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        if self.environment != "production":
            return
        if self.upstream.startswith("ws://"):
            raise SettingsError("UPSTREAM must be wss:// when ENVIRONMENT is production")
        if self.plc_url.startswith("http://"):
            raise SettingsError("PLC_URL must be https:// when ENVIRONMENT is production")
        if self.rehearsal != "off":
            raise SettingsError("REHEARSAL must be off when ENVIRONMENT is production")
        if self.rehearsal_clock_s:
            raise SettingsError("REHEARSAL_CLOCK_S must be 0 when ENVIRONMENT is production")


def _parse(setting: Field[Any], text: str) -> str | int:
    """The value of one setting, or `SettingsError` with its name; a secret's text is never repeated."""
    name = setting.name.upper()
    rules = setting.metadata
    if "allowed" in rules:
        if text not in rules["allowed"]:
            raise SettingsError(f"{name} must be one of {', '.join(rules['allowed'])}, not {text!r}")
        return text
    if "minimum" in rules:
        return _parse_number(name, text, rules["minimum"], rules["maximum"])
    if "schemes" in rules:
        return _parse_url(name, text, rules["schemes"], optional=setting.default == "")
    assert setting.default is not MISSING
    return text


def _parse_number(name: str, text: str, minimum: int, maximum: int) -> int:
    digits = text.removeprefix("-")
    value = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None
    if value is None or not minimum <= value <= maximum:
        raise SettingsError(f"{name} must be a whole number from {minimum} to {maximum}, not {text!r}")
    return value


def _parse_url(name: str, text: str, schemes: tuple[str, ...], *, optional: bool) -> str:
    """Scheme and authority only: a path, a query or user information in these URLs is a mistake.

    The text is not repeated, because user information holds a password.
    """
    if optional and not text:
        return text
    scheme, _, authority = text.rstrip("/").partition("://")
    if scheme not in schemes or not _is_authority(authority):
        raise SettingsError(f"{name} must be {' or '.join([f'{each}://host' for each in schemes])} without a path")
    return f"{scheme}://{authority.lower()}"


def _is_authority(text: str) -> bool:
    """A host, and a port if it is not the scheme's own."""
    try:
        parts = urlsplit(f"//{text}")
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_address and text.isprintable() and not any(c in text for c in "/?#@ \\")


SETTING_NAMES: Final = frozenset(each.name.upper() for each in fields(Settings))
"""The names that `Settings.from_mapping` knows."""
