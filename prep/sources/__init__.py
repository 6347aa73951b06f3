"""What prep can read: archives, folders, listings, and the layouts that data sets have."""
