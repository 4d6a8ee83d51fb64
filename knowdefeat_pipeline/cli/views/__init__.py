"""What several commands show: tables, rankings, reports."""
