-- Money is placed only where a bot has a target: what the caps of these cannot hold is cash. Bots may be asked for skill.

ALTER TABLE fund_settings ADD COLUMN caution double precision CHECK (caution >= 0 AND caution < 1);

ALTER TABLE fund_allocations ADD COLUMN p_skill double precision CHECK (p_skill BETWEEN 0 AND 1);
ALTER TABLE fund_allocations DROP CONSTRAINT fund_allocations_decision_check;
ALTER TABLE fund_allocations ADD CONSTRAINT fund_allocations_decision_check
    CHECK (decision IN ('funded', 'capped', 'below_minimum', 'no_share', 'inactive', 'halted', 'unranked', 'unmeasured',
                        'unjudged', 'doubtful'));

-- Up to here caps gave money to bots without a target: every day is divided again.
SELECT note_change('funds', '-infinity') WHERE EXISTS (SELECT FROM fund_allocation_days);
