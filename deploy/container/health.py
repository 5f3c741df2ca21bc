"""Whether this container's node is ready: GET /readyz. Few imports: it runs every few seconds."""

import os
import socket
import sys

with socket.create_connection(("127.0.0.1", int(os.environ["HEALTH_PORT"])), timeout=4) as node:
    node.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    status = node.makefile("rb").readline().split()
sys.exit(status[1:2] != [b"200"])
