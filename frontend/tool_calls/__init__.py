"""The forms in which models write tool calls, one file each. In: the text of an answer. Out: content and calls, while
the text still comes."""
