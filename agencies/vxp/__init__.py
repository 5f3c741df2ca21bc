"""The VXP API: what agencies' software already speaks, served by the agency node under `/vxp`.

Observed protocol (HTTP, headers named `XroadVnpt-…`, a JSON envelope around every reply). It knows nothing
of its own: documents, receipts and units are the node's; kept here are the calling systems, their secrets
and the log of calls.
"""
