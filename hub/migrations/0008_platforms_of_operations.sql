-- Operations over platforms: an item may be one, and platforms have labels as servers and sites have.
ALTER TABLE platform       ADD COLUMN labels   TEXT NOT NULL DEFAULT '{}';
ALTER TABLE operation_item ADD COLUMN platform TEXT;
