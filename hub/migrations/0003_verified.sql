-- What the last site.verify that succeeded has found: JSON that says when, in which task, where the hub's record
-- differs from the spoke's, and what is left to a person.
ALTER TABLE site ADD COLUMN verified TEXT;
