"""The axis node, put together: homes, wiring, operations, serving. Nothing else imports engines.

`init_home` makes a home; `open_home` opens one for commands beside a stopped node; `serve` runs the node.
"""

from axis.app.home import Home, HomeExists, init_home, read_home
from axis.app.node import Node, open_home
from axis.app.serve import serve, serving

__all__ = ["Home", "HomeExists", "Node", "init_home", "open_home", "read_home", "serve", "serving"]
