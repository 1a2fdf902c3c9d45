"""Weight synchronisation: how every rank comes to hold the updated weights."""
