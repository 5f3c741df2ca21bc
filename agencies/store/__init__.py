"""What the node keeps, in one SQLite file, and how it reads it: outbox, inbox, queues, marks, contents."""
