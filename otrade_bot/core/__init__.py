"""The words all rooms share. Imports no other room."""
