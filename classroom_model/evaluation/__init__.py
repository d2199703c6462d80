"""How well they do: the judge, the measures, and the rows of the card's table."""
