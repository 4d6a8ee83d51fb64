-- The close of each of %(tickers)s that marks open positions at each of %(instants)s: the number of the instant from 0, the
-- ticker, the price.
SELECT i.number - 1, c.ticker, c.close
FROM unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS i (as_of, number)
JOIN (SELECT array_agg(t.ticker) AS tickers, array_agg(a.as_of) AS instants
      FROM unnest(%(tickers)s::text[]) AS t (ticker), unnest(%(instants)s::timestamptz[]) AS a (as_of)) AS asked ON true
JOIN LATERAL closes_at(asked.tickers, asked.instants) AS c ON c.as_of = i.as_of
