"""What every room uses: errors, seeds, files, locks, signals, the allocator, resources."""
