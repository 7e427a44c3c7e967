"""Web servers (http, https), for restores only."""
