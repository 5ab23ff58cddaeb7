"""The platform: the only package that touches `js`, `pyodide` and `workers`. Wiring and conversion, no decisions."""
