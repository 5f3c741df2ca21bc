"""The connection to the axis: its API as a client, TLS, the directory kept in step, enrolment."""
