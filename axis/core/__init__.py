"""The protocol: pure values and functions, shared by the axis node and the agency nodes.

No I/O, clock, randomness, asyncio or logging in here; what a function needs of the world is an argument.
"""
