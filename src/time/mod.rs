//! Time from a velocity graph: where cells begin and end, and how far along each is.
