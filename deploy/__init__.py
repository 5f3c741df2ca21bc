"""How the axis is deployed."""
