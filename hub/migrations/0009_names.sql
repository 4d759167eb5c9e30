-- What a site is called besides, and how: the name that visitors are sent to, names that lead there (JSON), and the
-- task that changes them, until it is finished: names that it has claimed are the site's already, and those that it
-- gives up still are. How the site answers over HTTPS.
ALTER TABLE site ADD COLUMN main      TEXT;
ALTER TABLE site ADD COLUMN redirects TEXT NOT NULL DEFAULT '[]';
ALTER TABLE site ADD COLUMN naming    TEXT;
ALTER TABLE site ADD COLUMN https     TEXT NOT NULL DEFAULT 'off' CHECK (https IN ('off', 'on', 'redirect'));
