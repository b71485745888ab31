"""The forms in which models mark their thinking, one file each. In: an answer's text. Out: thinking and content."""
