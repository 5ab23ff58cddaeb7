"""What an operator asks of an archive: what is in it, whether it is whole, and its events as text, lines or frames.

Start at `segments`, `cursor` and `archive`, the commands. `store_argument` finds the archive: the state of a local
relay, a folder of files or a bucket. `catalogue` lists its objects, `timeline` puts their events in one order, and
`verification` holds what objects say of themselves against what is in them. Nothing here changes an archive, but for
the rules that `archive setup` gives a bucket.
"""
