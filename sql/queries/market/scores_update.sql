-- Recorded scores that came out otherwise. Of a ticker without bars, or without order books, they were given from
-- outside, and stay.
UPDATE trade_scores AS t
SET (price_model_score, volume_model_score, price_wall_score) = ROW(
    CASE WHEN s.has_bars THEN s.price_model_score ELSE t.price_model_score END,
    CASE WHEN s.has_bars THEN s.volume_model_score ELSE t.volume_model_score END,
    CASE WHEN s.has_book THEN s.price_wall_score ELSE t.price_wall_score END)
FROM scored AS s
WHERE s.trade_id = t.trade_id
  AND (s.has_bars AND (t.price_model_score, t.volume_model_score)
           IS DISTINCT FROM (s.price_model_score, s.volume_model_score)
       OR s.has_book AND t.price_wall_score IS DISTINCT FROM s.price_wall_score)
