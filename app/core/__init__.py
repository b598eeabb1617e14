"""Values and rules shared by every part; standard library only."""
