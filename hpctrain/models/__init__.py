"""The model kinds, each described once and built for every engine with the same names and the same initial weights."""
