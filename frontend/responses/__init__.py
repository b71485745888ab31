"""OpenAI's Responses API. A request becomes a chat request and is answered by the same engine and parsers; what is
added here is the form of its items and events, the store of answers, and answers that nobody waits for."""
