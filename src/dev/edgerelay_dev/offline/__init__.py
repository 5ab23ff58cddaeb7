"""The offline runtime: the stock `wrangler dev` and workerd, from npm and PyPI packages alone.

    checkout       where everything lies in a checkout, and the versions that it pins
    bundle         the Pyodide bundle that workerd would otherwise download
    snapshot       the interpreter just after its start, so that a start is quick
    modules        the Worker's Python packages, unpacked for the runtime's platform
    configuration  the wrangler configuration, derived from wrangler.toml
    preparation    the above, made once and kept until what they are made from changes
    stamp          whether something made is still up to date
    processes      the descendants of a process
    workerd        a relay that runs
    run            the command `edgerelay run`

Nothing here is needed online, where `pywrangler dev` and `pywrangler deploy` do the same with the same files.
"""
