"""What lessons and commands stand on: settings, devices, the hub. No public names."""
