"""What would this run take? All that is known of it before anything is loaded: `gpus`, `plan`, `screen`."""
