-- The journal's file. `frames` is the truth; every other table is an index over it, written in the same
-- transaction, and can be made again from it. The guards stop a defect in our own code from rewriting history;
-- they are no defence against somebody with write access to the file (the hash chain and the audit are).

CREATE TABLE journal (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    format     INTEGER NOT NULL CHECK (format = 1),
    journal_id TEXT    NOT NULL CHECK (length(journal_id) BETWEEN 1 AND 64)
) STRICT;

-- What was appended, byte for byte.
CREATE TABLE frames (
    number         INTEGER PRIMARY KEY CHECK (number > 0),
    first_sequence INTEGER NOT NULL UNIQUE CHECK (first_sequence > 0),
    last_sequence  INTEGER NOT NULL UNIQUE CHECK (last_sequence >= first_sequence),
    at             INTEGER NOT NULL,
    sha256         BLOB    NOT NULL CHECK (length(sha256) = 32),
    raw            BLOB    NOT NULL CHECK (length(raw) > 0)
) STRICT;

CREATE TRIGGER frames_follow BEFORE INSERT ON frames
WHEN new.number != (SELECT number FROM head) + 1
  OR new.first_sequence != (SELECT sequence FROM head) + 1
  OR new.at < (SELECT at FROM head)
BEGIN SELECT raise(ABORT, 'a frame must follow the head'); END;

CREATE TRIGGER frames_stay_unchanged BEFORE UPDATE ON frames
BEGIN SELECT raise(ABORT, 'frames are never changed'); END;

CREATE TRIGGER frames_stay BEFORE DELETE ON frames
BEGIN SELECT raise(ABORT, 'frames are never deleted'); END;

-- Taken once, never forgotten.
CREATE TABLE keys (
    key      TEXT    PRIMARY KEY,
    sequence INTEGER NOT NULL CHECK (sequence > 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER keys_stay_unchanged BEFORE UPDATE ON keys
BEGIN SELECT raise(ABORT, 'keys are never changed'); END;

CREATE TRIGGER keys_stay BEFORE DELETE ON keys
BEGIN SELECT raise(ABORT, 'keys are never released'); END;

-- What decisions need: the newest value of each fact.
CREATE TABLE facts (
    key      TEXT    PRIMARY KEY,
    value    BLOB    NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence > 0)
) STRICT, WITHOUT ROWID;

-- "What changed in this family since …"; a fact's family is its key up to the first slash.
CREATE INDEX facts_changed ON facts (substr(key, 1, instr(key, '/')), sequence, key);

CREATE TABLE feed (
    organisation TEXT    NOT NULL,
    urgent       INTEGER NOT NULL CHECK (urgent IN (0, 1)),
    sequence     INTEGER NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (organisation, urgent, sequence)
) STRICT, WITHOUT ROWID;

-- One row: the newest frame, and the peaks of the tree over all records (32 bytes each, largest first).
CREATE TABLE head (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    number   INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    sha256   BLOB    NOT NULL CHECK (length(sha256) = 32),
    peaks    BLOB    NOT NULL CHECK (length(peaks) % 32 = 0)
) STRICT;

CREATE TRIGGER head_moves_forward BEFORE UPDATE ON head
WHEN new.number != old.number + 1 OR new.sequence <= old.sequence OR new.at < old.at
BEGIN SELECT raise(ABORT, 'the head moves one frame forward'); END;

CREATE TRIGGER head_stays BEFORE DELETE ON head
BEGIN SELECT raise(ABORT, 'the head is never deleted'); END;
