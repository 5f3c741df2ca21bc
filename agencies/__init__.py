"""The agency node: the part of the axis that runs at a ministry, a province or a vendor."""
