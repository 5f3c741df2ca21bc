"""The journey of a document through the axis node (asyncio), on ports only."""
