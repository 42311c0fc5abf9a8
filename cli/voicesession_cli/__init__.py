"""The commands `voicesession` and `kubectl voice`."""
