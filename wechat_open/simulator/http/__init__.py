"""Requests and answers, where they may come from, and the server that carries them."""
