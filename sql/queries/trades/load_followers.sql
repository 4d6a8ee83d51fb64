-- Earlier states of a trade go where its leading row goes, if nothing of the trade is recorded.
UPDATE incoming i SET verdict = 'duplicate_trade', other_trade = leader.other_trade, other_row = leader.other_row
FROM incoming leader
WHERE i.verdict = 'unchanged' AND i.other_trade IS NULL
  AND leader.row_number = i.other_row AND leader.verdict = 'duplicate_trade'
