"""What develops, tests and operates EdgeRelay; never uploaded, and never imported by the package `edgerelay`."""
