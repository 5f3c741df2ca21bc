-- What was made of the signature within an edXML packet that came.

ALTER TABLE received ADD COLUMN packet_signature TEXT NOT NULL DEFAULT '';
