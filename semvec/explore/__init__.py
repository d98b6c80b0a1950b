"""What is in these texts: maps, groups and near duplicates."""
