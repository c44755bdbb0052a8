"""Which way copies, packages and operations go through their states, and which copies may be deleted."""
