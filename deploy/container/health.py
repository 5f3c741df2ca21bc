"""Whether the node of this container is ready: GET HEALTH_PATH. Few imports: it runs every few seconds."""

import os
import socket
import sys

path = os.environ.get("HEALTH_PATH", "/readyz")
with socket.create_connection(("127.0.0.1", int(os.environ["HEALTH_PORT"])), timeout=4) as node:
    node.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    status = node.makefile("rb").readline().split()
sys.exit(status[1:2] != [b"200"])
