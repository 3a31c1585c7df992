"""Device data in, readings one can trust out: detect, parse, map, judge, place, render."""
