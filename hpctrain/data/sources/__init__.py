"""Where samples come from: one kind of file each."""
