"""Settings: each field's default and bounds, every value that it cannot have, and the names in every refusal."""

from __future__ import annotations

import tomllib
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerelay.atproto.frames import MAX_FRAME_BYTES
from edgerelay.config import SETTING_NAMES, Settings
from edgerelay.errors import SettingsError
from edgerelay.runtime.sql import MAX_ROW_BYTES

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct-horse-battery-staple"  # a secret that no message may repeat
FIELDS = {each.name.upper(): each for each in fields(Settings)}
NUMBERS = [name for name, each in FIELDS.items() if "minimum" in each.metadata]
CHOICES = [name for name, each in FIELDS.items() if "allowed" in each.metadata]
URLS = [name for name, each in FIELDS.items() if "schemes" in each.metadata]
SECRETS = [name for name, each in FIELDS.items() if "secret" in each.metadata]

DEFAULTS: dict[str, str | int] = {
    "ENVIRONMENT": "develop",
    "UPSTREAM": "",
    "UPSTREAM_KIND": "auto",
    "UPSTREAM_START": "live",
    "VERIFY": "strict",
    "PLC_URL": "https://plc.directory",
    "PLC_RPS": 100,
    "IDENTITY_DEADLINE_S": 60,
    "ADMIN_TOKEN": "",
    "BLOB_INDEX": "off",
    "BLOB_CACHE": "off",
    "BLOB_MAX_BYTES": 2_000_000,
    "BLOB_URL_SECRET": "",
    "LOG_LEVEL": "info",
    "FLUSH_MS": 40,
    "BATCH_BYTES": 1_000_000,
    "RING_BYTES": 8_000_000,
    "LOG_MIN_MINUTES": 10,
    "LOG_STOP_BYTES": 4_000_000_000,
    "SEAL_S": 60,
    "CHECKPOINT_S": 60,
    "ALARM_S": 30,
    "SILENCE_S": 120,
    "CONNECT_TIMEOUT_S": 20,
    "BACKOFF_CAP_S": 60,
    "HEALTHY_S": 30,
    "MAX_SKEW_S": 300,
    "MAX_IN_FLIGHT": 4_096,
    "MAX_IN_FLIGHT_BYTES": 12_000_000,
    "DEFAULT_REPLAY_HOURS": 72,
    "RETENTION_DAYS": 62,
    "UNSENT_BYTES": 512_000,
    "BLIND_BYTES_PER_S": 4_000_000,
    "STUCK_S": 60,
    "BUDGET_BYTES": 48_000_000,
    "SHARD_CLIENTS": 4_000,
    "SHARD_DELIVERIES_PER_S": 45_000,
    "SHARDS_PER_REGION": 4,
    "SHARDS_MAX": 16,
    "CLIENTS_MAX": 20_000,
    "ADDRESS_CLIENTS": 100,
    "ADDRESS_REPLAYS": 8,
    "REPLAY_CLIENTS": 200,
    "DEEP_REPLAY_MINUTES": 30,
    "SUBSCRIBER_TOKENS": "",
    "REHEARSAL": "off",
    "REHEARSAL_CLOCK_S": 0,
}


def read(name: str, text: str) -> str | int:
    """What a setting becomes."""
    value: str | int = getattr(Settings.from_mapping({name: text}), name.lower())
    return value


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as raised:
        Settings.from_mapping(variables)
    return str(raised.value)


def try_to_read(name: str, text: str) -> tuple[str | int | None, str]:
    """What a setting becomes, or None and the refusal."""
    try:
        return read(name, text), ""
    except SettingsError as error:
        return None, str(error)


class TestDefaults:
    def test_without_variables_every_setting_has_its_default(self) -> None:
        settings = Settings.from_mapping({})
        assert {name: getattr(settings, name.lower()) for name in FIELDS} == DEFAULTS

    @pytest.mark.parametrize("name", FIELDS)
    def test_a_default_may_be_said(self, name: str) -> None:
        assert read(name, str(DEFAULTS[name])) == DEFAULTS[name]

    def test_every_setting_is_of_one_sort(self) -> None:
        assert sorted([*NUMBERS, *CHOICES, *URLS, *SECRETS]) == sorted(FIELDS)
        assert set(FIELDS) == SETTING_NAMES

    def test_settings_do_not_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            Settings.from_mapping({}).verify = "trusted"  # type: ignore[misc]  # the point of the test


class TestNumbers:
    @pytest.mark.parametrize("name", NUMBERS)
    def test_bounds_are_inclusive(self, name: str) -> None:
        minimum, maximum = FIELDS[name].metadata["minimum"], FIELDS[name].metadata["maximum"]
        assert (read(name, str(minimum)), read(name, str(maximum))) == (minimum, maximum)
        for beyond in (minimum - 1, maximum + 1):
            assert refusal(**{name: str(beyond)}).startswith(
                f"{name} must be a whole number from {minimum} to {maximum}"
            )

    @pytest.mark.parametrize("name", NUMBERS)
    @pytest.mark.parametrize(
        "text",
        ["", "-", "--1", "+1", "1.0", "1e3", "0x10", "1_000", " 60", "60\n", "sixty", "²", "٣", "null", "9" * 5_000],
    )
    def test_what_is_no_whole_number_is_refused_by_name(self, name: str, text: str) -> None:
        assert refusal(**{name: text}).startswith(f"{name} must be a whole number")

    @given(st.sampled_from(NUMBERS), st.text(max_size=8) | st.integers().map(str))
    def test_whatever_is_written_is_a_number_in_bounds_or_refused_by_name(self, name: str, text: str) -> None:
        rules = FIELDS[name].metadata
        value, refused = try_to_read(name, text)
        if value is None:
            assert refused.startswith(f"{name} must be")
        else:
            assert rules["minimum"] <= int(value) <= rules["maximum"]
            assert value == int(text)

    def test_what_is_batched_fits_in_a_row(self) -> None:
        """A row is a batch up to this size and its head; heads of the largest events stay within what remains."""
        assert FIELDS["BATCH_BYTES"].metadata["maximum"] <= MAX_ROW_BYTES - 100_000

    def test_any_frame_fits_in_what_may_be_in_flight(self) -> None:
        assert FIELDS["MAX_IN_FLIGHT_BYTES"].metadata["minimum"] > MAX_FRAME_BYTES

    def test_cursors_of_other_relays_reach_no_further_than_what_is_kept(self) -> None:
        assert FIELDS["DEFAULT_REPLAY_HOURS"].metadata["maximum"] == FIELDS["RETENTION_DAYS"].metadata["maximum"] * 24


class TestChoices:
    @pytest.mark.parametrize("name", CHOICES)
    def test_each_of_them_is_taken(self, name: str) -> None:
        allowed = FIELDS[name].metadata["allowed"]
        assert [read(name, each) for each in allowed] == list(allowed)

    @pytest.mark.parametrize("name", CHOICES)
    @pytest.mark.parametrize(
        "change", [str.upper, str.title, lambda text: text + " ", lambda text: "", lambda text: "x"]
    )
    def test_anything_else_is_refused_by_name_with_the_choices(self, name: str, change: object) -> None:
        assert callable(change)
        message = refusal(**{name: change(DEFAULTS[name])})
        assert message.startswith(f"{name} must be one of {', '.join(FIELDS[name].metadata['allowed'])}, not ")


class TestUrls:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("wss://pds.test", "wss://pds.test"),
            ("wss://pds.test/", "wss://pds.test"),
            ("wss://PDS.test:8443", "wss://pds.test:8443"),
            ("ws://127.0.0.1:65535", "ws://127.0.0.1:65535"),
            ("ws://[::1]:80/", "ws://[::1]:80"),
            ("", ""),
        ],
    )
    def test_an_upstream(self, text: str, url: str) -> None:
        assert read("UPSTREAM", text) == url

    def test_a_directory(self) -> None:
        assert read("PLC_URL", "http://localhost:2582/") == "http://localhost:2582"
        assert refusal(PLC_URL="") == "PLC_URL must be https://host or http://host without a path"

    @pytest.mark.parametrize("name", URLS)
    @pytest.mark.parametrize(
        "rest",
        [
            "",
            "/",
            "//",
            "host/path",
            "host/xrpc/com.atproto.sync.subscribeRepos",
            "host?cursor=1",
            "host#top",
            "ho st",
            "host\\path",
            "user@host",
            "user:password@host",
            "host\n",
            "ho\tst",
            "host\x00",
            "host\x7f",
            "host\u00a0",
            ":443",
            "host:0",
            "host:65536",
            "host:port",
            "host:-1",
            "[::1",
            "::1",
        ],
    )
    def test_more_or_less_than_a_host_is_refused_by_name(self, name: str, rest: str) -> None:
        scheme = FIELDS[name].metadata["schemes"][0]
        assert refusal(**{name: f"{scheme}://{rest}"}).startswith(f"{name} must be {scheme}://host")

    @pytest.mark.parametrize(
        "text",
        ["pds.test", "//pds.test", "https://pds.test", "wss:pds.test", "wss:/pds.test", "WSS://pds.test", " wss://a"],
    )
    def test_another_scheme_is_refused_by_name(self, text: str) -> None:
        assert refusal(UPSTREAM=text) == "UPSTREAM must be wss://host or ws://host without a path"

    @given(st.sampled_from(URLS), st.sampled_from(["wss://", "https://", ""]), st.text())
    def test_whatever_is_written_is_a_url_that_reads_as_itself_or_refused_by_name(
        self, name: str, scheme: str, text: str
    ) -> None:
        url, refused = try_to_read(name, scheme + text)
        if url is None:
            assert refused.startswith(f"{name} must be")
        else:
            assert read(name, str(url)) == url


class TestNames:
    @pytest.mark.parametrize(
        "name", ["FLUSHMS", "flush_ms", "Verify", "", "FLUSH_MS ", "from_mapping", "EDGERELAY_VERIFY"]
    )
    def test_an_unknown_one_is_refused_by_name(self, name: str) -> None:
        assert refusal(**{name: "1"}) == f"unknown setting {name}"

    def test_all_unknown_ones_are_named_at_once(self) -> None:
        assert refusal(VERIFY="strict", ZEBRA="1", APPLE="2") == "unknown setting APPLE, ZEBRA"


class TestProduction:
    def test_what_is_safe_is_taken(self) -> None:
        settings = Settings.from_mapping(
            {"ENVIRONMENT": "production", "UPSTREAM": "wss://pds.test", "REHEARSAL": "off", "REHEARSAL_CLOCK_S": "0"}
        )
        assert (settings.environment, settings.upstream) == ("production", "wss://pds.test")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("UPSTREAM", "ws://pds.test"),
            ("PLC_URL", "http://plc.test"),
            ("REHEARSAL", "on"),
            ("REHEARSAL_CLOCK_S", "1"),
            ("REHEARSAL_CLOCK_S", "-1200"),
        ],
    )
    def test_what_is_for_developing_is_refused_by_name(self, name: str, text: str) -> None:
        message = refusal(ENVIRONMENT="production", **{name: text})
        assert message.startswith(f"{name} must be ")
        assert message.endswith("when ENVIRONMENT is production")
        assert read(name, text) != DEFAULTS[name]

    @pytest.mark.parametrize("environment", [(), ("env", "develop"), ("env", "production")])
    def test_the_variables_that_are_deployed_are_right(self, environment: tuple[str, ...]) -> None:
        table = tomllib.loads((ROOT / "wrangler.toml").read_text())
        for each in environment:
            table = table[each]
        secrets = dict.fromkeys(table.get("secrets", {}).get("required", []), SECRET)
        settings = Settings.from_mapping({**table["vars"], **secrets})
        assert settings.environment == (environment or ("", "develop"))[1]


class TestSecrets:
    def test_any_text_is_right(self) -> None:
        assert SECRETS == ["ADMIN_TOKEN", "BLOB_URL_SECRET", "SUBSCRIBER_TOKENS"]
        for name in ("ADMIN_TOKEN", "BLOB_URL_SECRET"):
            for text in (SECRET, "", " ", "ünïcode\n"):
                assert read(name, text) == text

    def test_they_are_not_shown_with_the_settings(self) -> None:
        settings = Settings.from_mapping({**dict.fromkeys(SECRETS[:2], SECRET), "VERIFY": "lenient"})
        assert settings.admin_token == settings.blob_url_secret == SECRET
        assert SECRET not in repr(settings) + str(settings)
        assert "lenient" in repr(settings)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"ADMINTOKEN": SECRET},
            {"FLUSH_MS": "x"},
            {"ENVIRONMENT": "staging"},
            {"ENVIRONMENT": "production", "REHEARSAL": "on"},
            {"UPSTREAM": f"wss://relay:{SECRET}@pds.test"},
            {"UPSTREAM": f"wss://pds.test/?token={SECRET}"},
            {"PLC_URL": f"https://{SECRET}@plc.test"},
        ],
    )
    def test_no_refusal_repeats_it(self, wrong: dict[str, str]) -> None:
        with pytest.raises(SettingsError) as raised:
            Settings.from_mapping({"ADMIN_TOKEN": SECRET, **wrong})
        assert SECRET not in str(raised.value) + repr(raised.value)
        assert raised.value.__cause__ is None
