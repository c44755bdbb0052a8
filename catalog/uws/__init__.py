"""Jobs that go on when the client has gone: Universal Worker Service 1.1, whatever the work is."""
