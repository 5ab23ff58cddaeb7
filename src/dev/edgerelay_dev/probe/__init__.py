"""What only a deployed relay can show: watched from outside, and written down with a date.

Start at `run`, the command; `watch` asks. `observations` draws conclusions from the answers of `/state`, `continuity`
from the numbers of a stream; both see values only.
"""
