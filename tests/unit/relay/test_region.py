"""Regions: somewhere near, and nothing where nobody knows."""

from __future__ import annotations

import pytest

from edgerelay.relay.region import region_near


@pytest.mark.parametrize(
    ("continent", "longitude", "region"),
    [
        ("NA", "-122.4", "wnam"),  # San Francisco
        ("NA", "-74.0", "enam"),  # New York
        ("EU", "2.35", "weur"),  # Paris
        ("EU", "21.0", "eeur"),  # Warsaw
        ("AS", "55.3", "me"),  # Dubai
        ("AS", "139.7", "apac"),  # Tokyo
        ("SA", "-46.6", "sam"),
        ("AF", "3.4", "afr"),
        ("OC", "151.2", "oc"),
        ("EU", "", "eeur"),
        ("NA", "nowhere", "enam"),
        ("AN", "0", ""),
        ("", "", ""),
        ("undefined", "undefined", ""),
    ],
)
def test_the_region_near_somebody(continent: str, longitude: str, region: str) -> None:
    assert region_near(continent, longitude) == region
