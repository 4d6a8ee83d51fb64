-- Figures of a fleet do not become smaller: to try took half the time of writing them.
ALTER TABLE bot_skill_rows
    ALTER COLUMN edge SET STORAGE EXTERNAL,
    ALTER COLUMN edge_low SET STORAGE EXTERNAL,
    ALTER COLUMN edge_high SET STORAGE EXTERNAL,
    ALTER COLUMN p_skill SET STORAGE EXTERNAL;
