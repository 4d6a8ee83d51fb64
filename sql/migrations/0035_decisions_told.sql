-- Whoever shows results hears of what people and the learner decide about weights and learning, too.

CREATE TRIGGER weight_versions_told AFTER INSERT OR DELETE ON weight_versions
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
CREATE TRIGGER weight_settings_told AFTER INSERT ON weight_settings FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
CREATE TRIGGER weight_adjustments_told AFTER INSERT OR UPDATE ON weight_adjustments
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
CREATE TRIGGER belief_ledger_told AFTER INSERT ON belief_ledger FOR EACH STATEMENT EXECUTE FUNCTION tell_of_results();
