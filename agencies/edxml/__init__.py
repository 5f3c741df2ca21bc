"""edXML, the national message format (QCVN 102:2016/BTTTT, amendment 1:2022).

Packets are read tolerantly and written strictly. Synchronous and without I/O of its own: bytes come in
pieces, contents go to what the caller gives.
"""
