"""What people read of a result: the page, the plots, the tables of the terminal."""
