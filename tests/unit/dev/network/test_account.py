from __future__ import annotations

import re

from edgerelay.atproto.cid import cid_for_raw, cid_to_link, cid_to_text
from edgerelay_dev.network.account import StoredBlob, open_account, plc_did


def test_plc_dids_have_the_form_of_real_ones() -> None:
    assert re.fullmatch(r"did:plc:[a-z2-7]{24}", plc_did("a"))
    assert plc_did("a") == plc_did("a") != plc_did("b")


def test_same_seed_opens_the_same_account() -> None:
    first, second = (open_account(plc_did("a"), "a.test", "k256", "seed", "http://h") for _ in range(2))
    assert first.key.multikey == second.key.multikey
    assert first.clock == second.clock
    assert open_account(plc_did("a"), "a.test", "k256", "other seed", "http://h").key.multikey != first.key.multikey


def test_next_key_is_another_of_the_same_curve_unless_told() -> None:
    account = open_account(plc_did("a"), "a.test", "k256", "seed", "http://h")
    keys = {account.key.multikey, account.next_key("seed").multikey}
    assert len(keys) == 2
    assert account.key.curve.name == "k256"
    assert account.next_key("seed", "p256").curve.name == "p256"


def test_account_is_active_without_a_status() -> None:
    account = open_account(plc_did("a"), "a.test", "k256", "seed", "http://h")
    assert account.active
    account.status = "deactivated"
    assert not account.active


def test_a_blob_is_kept_by_its_cid() -> None:
    account = open_account(plc_did("a"), "a.test", "k256", "seed", "http://h")
    cid = cid_for_raw(b"image")
    named = {"$type": "blob", "ref": cid_to_link(cid), "mimeType": "image/png", "size": 5}
    assert account.store_blob(b"image", "image/png") == named
    assert account.blobs == {cid_to_text(cid): StoredBlob(b"image", "image/png")}
