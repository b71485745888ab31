"""Anthropic's Messages API. A request becomes a chat request and is answered by the same engine and parsers; what is
added here is the form of its blocks, events and errors."""
