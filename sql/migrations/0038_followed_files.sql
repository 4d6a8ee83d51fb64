-- Files that are followed: which, and what of them has arrived.

CREATE TABLE followed_files (
    path       text PRIMARY KEY,      -- where it is, from the root
    -- The file that is read there: one of other numbers is another file, before which the rest of this one is read.
    device     numeric,
    inode      numeric,
    source     text,                  -- of its trades; NULL before they were read
    trades     bigint NOT NULL DEFAULT 0, -- new and changed ones since it is followed
    looked_at  timestamptz NOT NULL DEFAULT clock_timestamp(), -- when a follower was heard of
    arrived_at timestamptz,           -- when the last of them was recorded
    trouble    text                   -- why it cannot be read or recorded; NULL: it can
);
COMMENT ON TABLE followed_files IS 'Files whose new trades are recorded as they are written.';
