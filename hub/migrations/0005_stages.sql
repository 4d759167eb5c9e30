-- Operations whose items are stages, carried out one after the other, each by a task of its own type: a site that moves.
-- None where all items are alike.
ALTER TABLE operation_item ADD COLUMN stage TEXT CHECK (stage IN ('source', 'target', 'hold', 'receive', 'release'));
