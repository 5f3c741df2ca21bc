"""The axis node, put together: homes, wiring, operations, serving. Nothing else imports engines.

`home.init_home` makes a home; `node.open_home` opens one for commands beside a stopped node; `serve.serve`
runs the node. Nothing is imported here, so that a command loads what it needs and no more.
"""
