"""Which strategy an increment gets: what is known of the increment, and what each strategy has been worth so far."""
