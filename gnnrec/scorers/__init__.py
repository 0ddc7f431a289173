"""What ranks: trained models, blends, references."""
