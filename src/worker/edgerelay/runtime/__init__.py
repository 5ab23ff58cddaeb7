"""The seam between behaviour and platform: ports, the interpreter of commands, and stores over the SQL port."""
