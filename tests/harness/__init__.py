"""What tests of trading share: an engine on a table, and a venue that does as it is told."""
