"""Help: the guide, the keyboard map, the log, the check of this computer, licences."""
