-- What the pages tell of operations.

-- Whoever shows funds hears of new settings, as he hears of other decisions.
CREATE TRIGGER fund_settings_told AFTER INSERT ON fund_settings FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
