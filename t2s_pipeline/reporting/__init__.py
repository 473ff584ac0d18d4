"""The parts of the results page: which samples it shows, what it says, its charts and its sections."""
