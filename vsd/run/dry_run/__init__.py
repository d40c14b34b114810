"""What would this run take? All that is known of it before anything is loaded: `machine`, `plan`, `screen`."""
