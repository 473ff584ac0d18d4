"""Work that is shared out: to every device of this machine, or to the machines of a Ray cluster."""
