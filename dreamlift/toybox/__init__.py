"""The embedded world: captioned procedural objects with exact geometry, parts and views."""
