"""The nine questions of a comparison's page, in order; each is answered from what was measured, or says what is missing."""
