"""Update schedules of the two players, and early stopping."""
