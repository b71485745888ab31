"""A frontend process owns text: HTTP requests come in and become token ids for the scheduler; token ids come back and
become server-sent events or JSON. It keeps all state of its open streams and nothing that another process needs."""
