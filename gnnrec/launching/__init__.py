"""Many runs at once: in processes of this machine, or as jobs of a cluster."""
