"""The axis node of the national document axis, and the protocol core that agency nodes share."""
