"""What each row of a table is worth: beside full retraining, at its price, and beside what costs no more."""
