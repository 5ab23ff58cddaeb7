"""EdgeRelay: an AT Protocol relay for Cloudflare Python Workers.

The layers, each importing only what stands to its left:

    atproto       wire formats: bytes to values and back, stateless
    archive       formats and plans of what is kept
    relay         behaviour: events in, commands out
    api           requests and answers as values
    runtime       ports and the interpreter of commands
    cloudflare    the only package that touches the platform

`config` and `errors` may be imported by all of them.
"""

__version__ = "0.1.0"
