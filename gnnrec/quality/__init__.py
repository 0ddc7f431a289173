"""How sound the data are: statistics that add up, drift, verdicts by named rules; no torch."""
