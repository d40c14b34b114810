"""Where the draft's work is done: on the schedule's thread, on another, in a process, or in virtual time."""
