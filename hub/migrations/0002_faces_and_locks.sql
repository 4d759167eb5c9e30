-- Whether visitors get a site, and what an operator has locked: JSON that says since when, by whom and why.
ALTER TABLE site     ADD COLUMN enabled BIGINT NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1));
ALTER TABLE site     ADD COLUMN locked  TEXT;
ALTER TABLE platform ADD COLUMN locked  TEXT;
