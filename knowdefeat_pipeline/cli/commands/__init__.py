"""One module a group of commands: read options, ask the rooms below, show the answer. No rule belongs here."""
