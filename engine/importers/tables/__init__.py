"""Tables beside images, of whatever file: their rows as text, the columns that matter, and the labels they give."""
