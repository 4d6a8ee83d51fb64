UPDATE trades t SET import_id = l.heir FROM leaving l WHERE t.trade_id = l.trade_id AND l.heir IS NOT NULL
