"""What asks the database for work and requests runs for it, or tells of runs that failed."""
